package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// errUnheard ends an attempt whose heartbeats do not arrive: another may start.
var errUnheard = errors.New("no heartbeat arrived for too long")

// watch keeps the command of an attempt, and looks whether the attempt is still
// wanted.
type watch struct {
	cancelled chan struct{} // closed once a cancel was requested
	stop      func()        // ends the watch and waits for it
}

// watch starts a watch over an attempt. The context it returns ends when the
// attempt was replaced, or is unheard for so long that it may have been.
func (a *App) watch(ctx context.Context, op contract.Operation, delivery Delivery) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancelled: make(chan struct{})}
	if op.CancelRequested {
		close(w.cancelled)
	}
	var running sync.WaitGroup
	running.Go(func() { cancel(a.heartbeat(ctx, op, delivery, w)) })
	w.stop = func() {
		cancel(context.Canceled)
		running.Wait()
	}
	return ctx, w
}

// heartbeat returns why the attempt has to stop.
func (a *App) heartbeat(ctx context.Context, op contract.Operation, delivery Delivery, w *watch) error {
	ticker := time.NewTicker(a.Lease.Heartbeat)
	defer ticker.Stop()
	heard := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		now, err := a.beat(ctx, op.ID, delivery)
		switch {
		case err != nil:
			if time.Since(heard) >= a.Lease.SelfFence {
				return fmt.Errorf("%w (last: %w)", errUnheard, err)
			}
			continue
		case now.Attempt != op.Attempt || now.State.Ended():
			return fmt.Errorf("attempt %d is %s: %w", now.Attempt, now.State, contract.ErrFenced)
		case now.CancelRequested && !w.wanted():
		case now.CancelRequested:
			close(w.cancelled)
		}
		heard = time.Now()
	}
}

func (a *App) beat(ctx context.Context, id string, delivery Delivery) (contract.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Lease.Heartbeat)
	defer cancel()
	if err := delivery.Renew(ctx); err != nil {
		return contract.Operation{}, err
	}
	return a.Operations.Load(ctx, id)
}

// wanted tells whether no cancel was requested.
func (w *watch) wanted() bool {
	select {
	case <-w.cancelled:
		return false
	default:
		return true
	}
}

// next stands between two steps: it tells why the next one must not begin.
func (w *watch) next(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !w.wanted() {
		return errCancelled
	}
	return nil
}

// pause waits within a step that can be given up.
func (w *watch) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.cancelled:
		return errCancelled
	case <-timer.C:
		return nil
	}
}
