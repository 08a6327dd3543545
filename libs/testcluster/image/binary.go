package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/orchard9/rdev/libs/cache"
)

// binary is the layer with one program of this repository, built from the tree
// as it is. module is the directory of its module, dir that of the program in
// the module. Like the Dockerfiles, it builds the module by itself.
func (s store) binary(ctx context.Context, root, module, dir, target string) (layer, error) {
	return s.build(ctx, filepath.Join(root, module), "./"+dir, filepath.Base(dir), target)
}

// build is the layer with the program of a package, as the module in dir sees it.
// name is that of the program in the cache.
func (s store) build(ctx context.Context, dir, pkg, name, target string) (layer, error) {
	program := filepath.Join(s.dir, "bin", name)
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return layer{}, fmt.Errorf("make the cache: %w", err)
	}
	// One name for all: go build does nothing where the program is up to date.
	lock, err := cache.Lock(ctx, program+".lock")
	if err != nil {
		return layer{}, err
	}
	defer func() { _ = lock.Close() }()
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, pkg)
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux")
	if err := perform(build); err != nil {
		return layer{}, fmt.Errorf("build %s in %s: %w", pkg, dir, err)
	}
	return s.built(ctx, program, target)
}

// built is the layer with one file that is a program.
func (s store) built(ctx context.Context, program, target string) (layer, error) {
	file, err := os.Open(program)
	if err != nil {
		return layer{}, fmt.Errorf("open what was built: %w", err)
	}
	defer func() { _ = file.Close() }()
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return layer{}, fmt.Errorf("read what was built: %w", err)
	}
	key := "binary " + target + " " + hex.EncodeToString(digest.Sum(nil))
	return s.layer(ctx, target, key, func(_ context.Context, t *tree) error {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return t.file(target, 0o755, file)
	})
}

// perform runs a command. An error holds what the command said.
func perform(command *exec.Cmd) error {
	var said bytes.Buffer
	command.Stderr = &said
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
