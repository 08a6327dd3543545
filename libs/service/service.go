// Package service is what every service's process has in common: its main,
// its health, and the order in which it stops.
//
// The rule to know: what is started last stops first, and a part that fails
// stops the others.
package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Part is something that runs until its context is done. Returning before that,
// or with an error, stops the whole service.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Run runs parts side by side until ctx is done or one of them ends, and stops
// them one after another, the last first, each with its own context. It returns
// the errors of all.
func Run(ctx context.Context, parts ...Part) error {
	type running struct {
		cancel context.CancelFunc
		done   chan error
	}
	ended := make(chan struct{}, len(parts))
	started := make([]running, 0, len(parts))
	for _, p := range parts {
		// Detached from ctx: the order of the end is decided here.
		partCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := running{cancel: cancel, done: make(chan error, 1)}
		started = append(started, r)
		go func() {
			err := p.Run(partCtx)
			switch {
			case err != nil && (partCtx.Err() == nil || !errors.Is(err, context.Canceled)):
				err = fmt.Errorf("%s: %w", p.Name, err)
			case partCtx.Err() == nil:
				err = fmt.Errorf("%s ended by itself", p.Name)
			default:
				err = nil
			}
			r.done <- err
			ended <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	var all error
	for _, s := range slices.Backward(started) {
		s.cancel()
		all = errors.Join(all, <-s.done)
	}
	return all
}
