package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// cluster is a directory with an initialised database in it.
type cluster struct{ dir string }

func (c cluster) data() string         { return filepath.Join(c.dir, "data") }
func (c cluster) passwordFile() string { return filepath.Join(c.dir, "password") }

// password is read, never made here: one that does not fit the data is of no use.
func (c cluster) password() (string, error) {
	content, err := os.ReadFile(c.passwordFile())
	if err != nil {
		return "", fmt.Errorf("the password of the cluster is lost: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// initialise runs initdb unless that has been done. The cluster is made beside
// its place and renamed, so that one that exists is always complete.
func (c cluster) initialise(ctx context.Context, bin Installation, as account, durable bool) error {
	if _, err := os.Stat(c.data()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := c.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.passwordFile(), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if err := as.own(fresh, c.passwordFile()); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + fresh, "--username=" + Superuser, "--pwfile=" + c.passwordFile(),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
	}
	if !durable {
		// Small log segments keep a copy of the cluster small.
		args = append(args, "--no-sync", "--wal-segsize=1")
	}
	command := as.command(ctx, filepath.Join(bin.Bin, "initdb"), args...)
	// The kernel signals a child when the thread that started it ends.
	runtime.LockOSThread()
	output, err := command.CombinedOutput()
	runtime.UnlockOSThread()
	if err != nil {
		return as.explain(fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(output)))
	}
	return os.Rename(fresh, c.data())
}

// copyFrom replaces the cluster with a copy of another one, password included.
func (c cluster) copyFrom(template cluster, as account) error {
	if err := os.RemoveAll(c.data()); err != nil {
		return err
	}
	if err := os.CopyFS(c.data(), os.DirFS(template.data())); err != nil {
		return fmt.Errorf("copy the template: %w", err)
	}
	if err := os.Chmod(c.data(), 0o700); err != nil {
		return err
	}
	password, err := os.ReadFile(template.passwordFile())
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.passwordFile(), password, 0o600); err != nil {
		return err
	}
	return as.ownAll(c.data())
}

// template returns an initialised cluster under root for these binaries, and
// makes it if it is the first time. Several processes may do so at once: the
// first to finish wins.
func template(ctx context.Context, root string, bin Installation, as account) (cluster, error) {
	name := fmt.Sprintf("postgres-%s-%s-%d", bin.Version, runtime.GOARCH, as.uid)
	kept := cluster{dir: filepath.Join(root, name)}
	if _, err := os.Stat(kept.data()); err == nil {
		return kept, nil
	}
	// Each cluster in it is private; the account that serves it must get there.
	if err := os.MkdirAll(root, 0o711); err != nil {
		return cluster{}, err
	}
	dir, err := os.MkdirTemp(root, name+".new-")
	if err != nil {
		return cluster{}, err
	}
	defer os.RemoveAll(dir)
	if err := as.own(dir); err != nil {
		return cluster{}, err
	}
	if err := (cluster{dir: dir}).initialise(ctx, bin, as, false); err != nil {
		return cluster{}, err
	}
	if err := os.Rename(dir, kept.dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return cluster{}, err
	}
	return kept, nil
}
