package confine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Start starts a program in a session of its own with three descriptors as its
// standard files. It is killed when this process dies.
func Start(spec wire.Spec, files [3]*os.File) (pid int, err error) {
	dir, err := workingDirectory(spec)
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	path, err := executable(spec, dir)
	if err != nil {
		return 0, err
	}
	attr := &syscall.ProcAttr{
		Dir:   descriptorPath(dir),
		Env:   spec.Env,
		Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	type result struct {
		pid int
		err error
	}
	started := make(chan result)
	go func() {
		// The thread must outlive the program, which is told of its death, and is
		// of no other use when it is confined. So it waits here for ever.
		runtime.LockOSThread()
		if err := confineThread(spec.Confine); err != nil {
			started <- result{err: err}
			return
		}
		pid, err := syscall.ForkExec(path, spec.Argv, attr)
		if err != nil {
			err = fmt.Errorf("start %q: %w", spec.Argv[0], err)
		}
		started <- result{pid, err}
		select {}
	}()
	r := <-started
	return r.pid, r.err
}

func confineThread(c *wire.Confinement) error {
	if c == nil {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if c.Files {
		if err := landlock(*c); err != nil {
			return err
		}
	}
	return dropCapabilities()
}

// dropCapabilities leaves a program that this thread starts without any, even
// where its user is root.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	for capability := range uintptr(unix.CAP_LAST_CAP + 1) {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, capability, 0, 0, 0)
		if err != nil {
			break // the kernel knows no more of them
		}
		if held == 0 {
			continue
		}
		err = unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if err != nil && os.Getuid() == 0 {
			return fmt.Errorf("give up capability %d: %w", capability, err)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}

// workingDirectory opens where the program runs. Neither dots nor symbolic
// links lead out of the workspace.
func workingDirectory(spec wire.Spec) (*os.File, error) {
	root, err := os.OpenRoot(spec.Workspace)
	if err != nil {
		return nil, fmt.Errorf("open workspace: %w", err)
	}
	defer root.Close()
	name := spec.Dir
	if name == "" {
		name = "."
	}
	dir, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open working directory %q: %w", name, err)
	}
	if info, err := dir.Stat(); err != nil || !info.IsDir() {
		_ = dir.Close()
		return nil, errors.Join(fmt.Errorf("open working directory %q: not a directory", name), err)
	}
	return dir, nil
}

// executable finds the program as a shell would: by its path, or in the PATH
// that it is given.
func executable(spec wire.Spec, dir *os.File) (string, error) {
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return "", errors.New("no program was named")
	}
	name := spec.Argv[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	var path string
	for _, variable := range spec.Env {
		if value, ok := strings.CutPrefix(variable, "PATH="); ok {
			path = value
		}
	}
	for _, in := range filepath.SplitList(path) {
		if in == "" {
			in = "."
		}
		candidate := filepath.Join(in, name)
		if !filepath.IsAbs(candidate) {
			candidate = filepath.Join(descriptorPath(dir), candidate)
		}
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && unix.Access(candidate, unix.X_OK) == nil {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("start %q: executable file not found in PATH", name)
}

// descriptorPath is a path of an open file that a child can use before it execs.
func descriptorPath(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }
