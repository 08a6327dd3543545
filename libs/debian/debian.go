// Package debian gets programs of Debian, or Ubuntu, on a machine that does not have them,
// without root: packages are fetched and unpacked into a directory, and the system is left
// as it is. No script of a package runs.
package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// ErrOther says that this machine has no apt.
var ErrOther = errors.New("this is neither Debian nor Ubuntu")

// Name is the release of this machine's system, as "debian-12-amd64": what is unpacked for
// one release fits no other.
func Name() (string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return "", ErrOther
	}
	release, err := os.ReadFile("/etc/debian_version")
	if err != nil {
		return "", fmt.Errorf("find out which Debian this is: %w", err)
	}
	major, _, _ := strings.Cut(strings.TrimSpace(string(release)), ".")
	return "debian-" + strings.ReplaceAll(major, "/", "-") + "-" + runtime.GOARCH, nil
}

// Unpack fetches packages, without those that they depend on, and unpacks them below root,
// a directory that is there. apt gets lists of its own, so that it neither needs nor
// changes those of the machine, and checks the signatures.
func Unpack(ctx context.Context, root string, packages ...string) (err error) {
	work := root + ".download"
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(filepath.Join(work, "lists/partial"), 0o755)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	apt := []string{
		"-q", "-o", "Dir::State::Lists=" + work + "/lists", "-o", "Dir::Cache=" + work, "-o", "APT::Sandbox::User=root",
	}
	if err := run(ctx, work, "apt-get", append(apt, "update")...); err != nil {
		return err
	}
	if err := run(ctx, work, "apt-get", append(append(apt, "download"), packages...)...); err != nil {
		return err
	}
	fetched, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, p := range fetched {
		if err := run(ctx, work, "dpkg-deb", "-x", p, root); err != nil {
			return err
		}
	}
	return nil
}

// Env has the programs below root find each other, and their libraries, before those of
// the machine: PATH and LD_LIBRARY_PATH. ok is false where there are no libraries.
func Env(root string) (env []string, ok bool) {
	env = []string{"PATH=" + strings.Join([]string{
		filepath.Join(root, "usr/bin"), filepath.Join(root, "usr/sbin"), "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	}, ":")}
	libraries, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil || len(libraries) == 0 {
		return env, false
	}
	return append(env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":")), true
}

// run runs a command in dir. The error has the end of what it wrote to its standard error.
func run(ctx context.Context, dir, name string, args ...string) error {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
	return nil
}
