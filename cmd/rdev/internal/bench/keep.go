package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keepConfig is a command to keep.
type keepConfig struct {
	Argv []string
	Env  []string
	Log  string // file for what it prints
}

// kept tells which process the command is.
type kept struct{ PID int }

// keep runs a command and adopts everything that it leaves behind: what rdev
// starts outlives those who started it, and its CPU time would be counted
// nowhere. It uses no os/exec, which wants to reap its children itself.
func keep(ctx context.Context, cfg keepConfig, say announce) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	log, err := os.Create(cfg.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer nothing.Close()
	p, err := os.StartProcess(cfg.Argv[0], cfg.Argv, &os.ProcAttr{Env: cfg.Env, Files: []*os.File{nothing, log, log}})
	if err != nil {
		return fmt.Errorf("start %s: %w", cfg.Argv[0], err)
	}
	if err := say(kept{PID: p.Pid}); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		_ = syscall.Kill(p.Pid, syscall.SIGTERM)
		// The measured process is never waited for in vain.
		time.AfterFunc(stopWithin*3/4, func() { _ = syscall.Kill(p.Pid, syscall.SIGKILL) })
	})
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return fmt.Errorf("wait: %w", err)
		case pid == p.Pid && status.ExitStatus() == 0:
			return nil
		case pid == p.Pid:
			return fmt.Errorf("%s ended with %d (signal %d)", cfg.Argv[0], status.ExitStatus(), status.Signal())
		}
	}
}
