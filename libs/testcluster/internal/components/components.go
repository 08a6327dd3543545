// Package components finds what a one-node cluster runs on: the Kubernetes
// binaries, built once from libs/tools/kubernetes, and etcd, containerd, runc,
// the CNI plugins and nft, from this machine or from Debian. All that it makes
// lies in one cache directory; the system is left as it is.
package components

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Components are absolute paths of programs.
type Components struct {
	APIServer         string
	ControllerManager string
	Scheduler         string
	Kubelet           string
	Proxy             string
	Kubectl           string

	Etcd       string
	Containerd string
	Ctr        string // containerd's own client
	Runc       string
	CNI        string // the directory of the plugins

	// Env is the environment in which all of them run: it has the PATH on
	// which containerd finds its shim and kube-proxy finds nft.
	Env []string
}

// Ensure returns the components, and makes first what is missing in dir, the
// cache. root is the root of this repository. The first build takes minutes.
func Ensure(ctx context.Context, root, dir string, log *slog.Logger) (*Components, error) {
	var c Components
	if err := c.machine(ctx, dir, log); err != nil {
		return nil, err
	}
	if err := c.kubernetes(ctx, root, dir, log); err != nil {
		return nil, err
	}
	return &c, nil
}

// Root is the root of the repository that the working directory is in.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "libs/tools/kubernetes/go.mod")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside of the rdev repository", start)
		}
	}
}

// once calls fill with an empty directory that then gets the name dir, unless
// dir is there already. Two processes never fill at the same time, and what a
// killed one left is removed.
func once(ctx context.Context, dir string, fill func(partial string) error) (err error) {
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	lock, err := Lock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if exists(dir) {
		return nil
	}
	partial, err := emptyDir(dir + ".partial-")
	if err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	if err := fill(partial); err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	return os.Rename(partial, dir)
}

// emptyDir makes a directory whose name begins with prefix, and removes those of
// builds that were killed. Each has a name of its own, as the compiler of a
// killed build may still be writing.
func emptyDir(prefix string) (string, error) {
	stale, err := filepath.Glob(prefix + "*")
	if err != nil {
		return "", err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(prefix), filepath.Base(prefix))
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// Lock locks a file, and waits for it until ctx ends. The lock is held until
// the file is closed, in every process that has it.
func Lock(ctx context.Context, path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open a lock: %w", err)
	}
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is locked by another process: %w", path, ctx.Err()), file.Close())
		}
	}
}

// run runs a command in dir with additional environment, and returns what it
// wrote to its standard output. The error has the end of what it wrote to its
// standard error.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
	return stdout.String(), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
