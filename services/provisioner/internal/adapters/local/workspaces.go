// Package local keeps workspaces as directories of this machine:
//
//	<dir>/<slug>/workspace    where commands run
//	<dir>/<slug>/port         the project's port, which the executor gives to commands as PORT
//	<dir>/<slug>/…            what the executor keeps beside it
//	<dir>/.routes/<host>      a link to the directory of the project that the host leads to
//	<dir>/.trash/<slug>.<x>   on its way out
//	<dir>/.lock               held while ports and hosts are given
//
// What commands leave in there is hostile: everything is reached through
// os.Root, so no symbolic link leads outside.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

const (
	workspaceName = "workspace"
	// trashName cannot be a slug.
	trashName = ".trash"
)

// Workspaces implements app.Workspaces.
type Workspaces struct{ directory }

// Open keeps workspaces below a directory, which is made where it is missing.
func Open(dir string) (*Workspaces, error) {
	opened, err := openDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("workspaces: %w", err)
	}
	return &Workspaces{opened}, nil
}

// Create implements app.Workspaces.
func (w *Workspaces) Create(_ context.Context, slug string) (app.Workspace, error) {
	if !domain.ValidSlug(slug) {
		return app.Workspace{}, fmt.Errorf("create workspace %q: not a slug", slug)
	}
	name := filepath.Join(slug, workspaceName)
	for _, dir := range []string{slug, name} {
		if err := makeDir(w.root, dir); err != nil {
			return app.Workspace{}, fmt.Errorf("create workspace %s: %w", slug, err)
		}
	}
	if err := w.givePort(slug); err != nil {
		return app.Workspace{}, fmt.Errorf("create workspace %s: %w", slug, err)
	}
	return app.Workspace{Path: filepath.Join(w.root.Name(), name), Runtime: contract.RuntimeLocal}, nil
}

// makeDir makes a directory, or finds one there; a link to one is none.
func makeDir(root *os.Root, name string) error {
	if err := root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is there and is no directory", name)
	}
	return nil
}

// Remove implements app.Workspaces. The project is first moved aside, so that
// its slug and its port are free at once, and a remover that hangs cannot meet a
// new project.
func (w *Workspaces) Remove(ctx context.Context, slug string) error {
	if !domain.ValidSlug(slug) {
		return fmt.Errorf("remove workspace %q: not a slug", slug)
	}
	if err := makeDir(w.root, trashName); err != nil {
		return fmt.Errorf("remove workspace %s: %w", slug, err)
	}
	trash, err := w.root.OpenRoot(trashName)
	if err != nil {
		return fmt.Errorf("remove workspace %s: %w", slug, err)
	}
	defer trash.Close()
	if err := w.forgetHosts(slug); err != nil {
		return fmt.Errorf("remove workspace %s: %w", slug, err)
	}
	if err := w.moveAside(slug); err != nil {
		return fmt.Errorf("remove workspace %s: %w", slug, err)
	}
	// Earlier attempts may have left some.
	entries, err := fs.ReadDir(trash.FS(), ".")
	if err != nil {
		return fmt.Errorf("remove workspace %s: %w", slug, err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), slug+".") {
			continue
		}
		if err := removeAll(ctx, trash, entry.Name()); err != nil {
			return fmt.Errorf("remove workspace %s: %w", slug, err)
		}
	}
	return nil
}

func (w *Workspaces) moveAside(slug string) error {
	info, err := w.root.Lstat(slug)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		// A directory that is read-only cannot get another parent.
		if err := w.root.Chmod(slug, 0o700); err != nil {
			return err
		}
	}
	err = w.root.Rename(slug, filepath.Join(trashName, slug+"."+rand.Text()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // another attempt was faster
	}
	return err
}
