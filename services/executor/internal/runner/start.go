package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// superviseCommand is the subcommand under which start runs the supervisor.
const superviseCommand = "supervise"

var errStale = errors.New("a newer token holds the workspace")

// start starts a run. A second start with the same token finds the first, and a first one
// what that has prepared.
func start(ctx context.Context, c *call, stdin io.Reader) (wire.Reply, error) {
	var spec wire.Spec
	if err := json.NewDecoder(stdin).Decode(&spec); err != nil {
		return wire.Reply{}, fmt.Errorf("%w: read specification: %w", errInvalid, err)
	}
	release, existing, err := enter(ctx, c, spec.Make)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("start run %s: %w", c.id, err)
	}
	defer release()
	if existing {
		return wire.Reply{Existing: true}, nil
	}
	if len(spec.Empty) > 0 {
		prepared, err := c.root.Prepared()
		if err == nil && prepared != c.prepared() {
			err = emptied(c, spec.Empty)
		}
		if err != nil {
			return wire.Reply{}, fmt.Errorf("start run %s: %w", c.id, err)
		}
	}
	run, alive, err := c.root.Create(c.id, c.token)
	if err != nil {
		return wire.Reply{}, err
	}
	defer run.Close()
	defer alive.Close()
	return wire.Reply{}, spawn(c, spec, alive)
}

// enter makes directories, and has the caller hold the workspace's lock, until release is
// called, and its newest token. existing tells whether the run is there with that token;
// what an older one started under the same ID is ended.
func enter(ctx context.Context, c *call, dirs []string) (release func(), existing bool, err error) {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, false, err
		}
	}
	if release, err = c.root.Lock(); err != nil {
		return nil, false, err
	}
	if err = take(ctx, c, c.id); err == nil {
		existing, err = replaceable(ctx, c)
	}
	if err != nil {
		release()
		return nil, false, err
	}
	return release, existing, nil
}

// forgetOthers removes what is kept of other runs, all of which have ended: whoever
// was to clean them may not have got there, and their output is no business of this one.
func forgetOthers(c *call) error {
	runs, err := c.root.Runs()
	for _, run := range runs {
		_ = run.Close()
		if run.ID != c.id {
			err = errors.Join(err, c.root.Remove(run.ID))
		}
	}
	return err
}

// replaceable ends what an older token started under the same ID, and tells
// whether the run is there with the caller's token.
func replaceable(ctx context.Context, c *call) (existing bool, err error) {
	run, err := c.root.Run(c.id)
	if errors.Is(err, store.ErrNoRun) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer run.Close()
	if run.Record.Token == c.token {
		return true, nil
	}
	return false, kill(ctx, run)
}

// take makes the caller's token the one that holds the workspace. Runs of older
// tokens, but for the one that is to be kept, are ended before it is. The caller
// holds the lock.
func take(ctx context.Context, c *call, keep string) error {
	current, err := c.root.Token()
	if err != nil {
		return err
	}
	if c.token < current {
		return fmt.Errorf("%w: %d, not %d", errStale, current, c.token)
	}
	runs, err := c.root.Runs()
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err == nil && run.ID != keep && run.Record.Token != c.token {
			err = kill(ctx, run)
		}
		_ = run.Close()
	}
	if err != nil || c.token == current {
		return err
	}
	return c.root.SetToken(c.token)
}

// spawn starts the supervisor in a session of its own and returns when the
// program has started, or it is recorded that it did not.
func spawn(c *call, spec wire.Spec, alive *os.File) error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("spawn supervisor: %w", err)
	}
	defer null.Close()
	specIn, specOut, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("spawn supervisor: %w", err)
	}
	readyIn, readyOut, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("spawn supervisor: %w", err)
	}
	defer readyIn.Close()
	pid, err := syscall.ForkExec("/proc/self/exe",
		[]string{"rdev-runner", superviseCommand, "-root", c.path, "-run", c.id, "-token", strconv.FormatUint(c.token, 10)},
		&syscall.ProcAttr{
			Dir: "/", Env: []string{},
			Files: []uintptr{null.Fd(), null.Fd(), null.Fd(), specIn.Fd(), readyOut.Fd(), alive.Fd()},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
	_, _ = specIn.Close(), readyOut.Close()
	if err != nil {
		_ = specOut.Close()
		return fmt.Errorf("spawn supervisor: %w", err)
	}
	go func() { _, _ = unix.Wait4(pid, nil, 0, nil) }() // it may end before this process does
	if err := errors.Join(json.NewEncoder(specOut).Encode(spec), specOut.Close()); err != nil {
		return fmt.Errorf("tell supervisor: %w", err)
	}
	// The end of it comes with the supervisor's own, if with nothing else. What
	// became of the run is on the disk then, or it ended unknown.
	_, err = io.Copy(io.Discard, readyIn)
	return err
}
