// Package lifeline has programs that this process started end with it, however it ends.
package lifeline

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// Tie sends a signal, as TERM, to a program when this process is gone: a shell waits for the
// end of a pipe whose other end only this process holds. cut ends the tie, once the program
// has ended. The end of ctx does not.
func Tie(ctx context.Context, program *os.Process, signal string) (cut func(), err error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	watcher := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", `read -r line; kill -"$1" "$0"`, strconv.Itoa(program.Pid), signal)
	watcher.Stdin = ours
	watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := watcher.Start(); err != nil {
		return nil, errors.Join(err, theirs.Close())
	}
	return func() {
		// First the watcher, so that it never signals a process id that is free again.
		_ = watcher.Process.Kill()
		_ = watcher.Wait()
		_ = theirs.Close()
	}, nil
}
