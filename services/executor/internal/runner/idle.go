package runner

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// idle is the first process of a container: it waits for the signal to end, and
// buries what is left to it.
func idle(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer stop()
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	defer signal.Stop(children)
	for {
		if err := bury(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-children:
		}
	}
}

// bury waits for every child that has ended.
func bury() error {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD), err == nil && pid == 0:
			return nil
		case err != nil:
			return err
		}
	}
}
