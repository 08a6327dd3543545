package app

import (
	"context"
	"errors"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// errHalted ends what moves files of work that is to end.
var errHalted = errors.New("the work is to end")

// What end does depends on how far the run is:
//
//	files come ──▶ starts ──live──▶ runs ──over──▶ files are kept
//	   halt         noted          cancelRun         halt

// moving is the context of what moves files, until done is called: it ends as soon as the
// work is to end.
func (w *watch) moving() (ctx context.Context, done func()) {
	ctx, halt := context.WithCancelCause(w.ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halt = halt
	if w.why.reason != stopNone {
		halt(errHalted)
	}
	return ctx, func() {
		w.mu.Lock()
		w.halt = nil
		w.mu.Unlock()
		halt(nil)
	}
}

// halted is how the work ends where it is to end while no program runs.
func (w *watch) halted() (how ending, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.why.reason == stopNone:
		return ending{}, false
	case w.now.CancelRequested:
		return cancelled(w.now), true
	case w.why.reason == stopShutdown:
		return failedWith(contract.ClassInfrastructure, "%s", w.why.words), true
	}
	return failedWith(contract.ClassTimeout, "%s", w.why.words), true
}

// live notes that the run is there: it is ended from now on where it has to be, and at
// once where that was asked for while it started.
func (w *watch) live() {
	w.lastHeard.Store(time.Now().UnixNano())
	w.mu.Lock()
	w.lives = true
	due := w.why.reason != stopNone
	w.mu.Unlock()
	if due {
		w.done.Go(w.cancelRun)
	}
}

// over notes that the run has ended, and tells why that was asked for: it is final.
func (w *watch) over() stop {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lives = false
	return w.why
}
