package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
)

// errLeft is the cause of a context that the second Ctrl-C has ended.
var errLeft = errors.New("interrupted")

// interrupts is what Ctrl-C means while something is followed: the first time
// a wish, the second time the end.
type interrupts struct {
	ctx   context.Context // ends at the second
	first <-chan struct{} // is closed at the first
	stop  func()          // gives Ctrl-C its usual meaning back
}

// watchInterrupts changes the meaning of Ctrl-C until stop. Its goroutine ends
// then, too.
func watchInterrupts(parent context.Context) interrupts {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt)
	first := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if n == 1 {
				cancel(errLeft)
				return
			}
			close(first)
		}
	}()
	return interrupts{ctx: ctx, first: first, stop: func() { signal.Stop(signals); cancel(nil) }}
}

// explain turns the error of a call into that of leaving, where that is what
// happened. id is the operation that goes on, "" where none is known, and group the
// commands that tell more of it.
func (i interrupts) explain(err error, group, id string) error {
	if !errors.Is(err, errLeft) {
		if err != nil && id != "" {
			return &hinted{err, "The operation goes on without us: rdev " + group + " output " + id}
		}
		return err
	}
	if id == "" {
		return &exitError{code: exitInterrupted, err: errLeft}
	}
	return &exitError{code: exitInterrupted, err: &hinted{
		fmt.Errorf("left operation %s while it ends", id), "See how: rdev " + group + " get " + id,
	}}
}
