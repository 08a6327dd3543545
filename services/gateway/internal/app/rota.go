package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	// lookTimeout bounds what is done on one operation.
	lookTimeout = 10 * time.Second
	// lookers is how many operations are looked at at a time.
	lookers = 8
)

// rota is which operations are to be looked at, because something may be due on them. Each
// is looked at by one at a time.
type rota struct {
	log *slog.Logger

	mu    sync.Mutex
	live  bool
	turns map[string]struct{}
	wake  chan struct{}
}

func newRota(log *slog.Logger) *rota {
	return &rota{log: log, turns: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

// ask gives an operation a turn.
func (r *rota) ask(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns[id] = struct{}{}
	r.stir()
}

// drop takes it away.
func (r *rota) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.turns, id)
}

// start says that the log was read to its end: from here on operations are looked at.
func (r *rota) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = true
	r.stir()
}

func (r *rota) stir() {
	if !r.live || len(r.turns) == 0 {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // it is about to look
	}
}

// run has operations looked at until ctx is done: those that have a turn at once, and
// at every tick those that are due by the clock besides.
func (r *rota) run(ctx context.Context, every time.Duration, due func(now time.Time) []string, look func(ctx context.Context, id string) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var more []string
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case now := <-tick.C:
			more = due(now)
		}
		r.round(ctx, r.take(more), look)
	}
}

// take is all that are to be looked at.
func (r *rota) take(more []string) map[string]struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.live {
		return nil
	}
	all := r.turns
	r.turns = map[string]struct{}{}
	for _, id := range more {
		all[id] = struct{}{}
	}
	return all
}

// round looks at operations. What fails is looked at again with the next tick.
func (r *rota) round(ctx context.Context, ids map[string]struct{}, look func(ctx context.Context, id string) error) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, lookers)
	for id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, lookTimeout)
			defer cancel()
			err := look(ctx, id)
			if err == nil || errors.Is(err, contract.ErrNotFound) || errors.Is(ctx.Err(), context.Canceled) {
				return
			}
			r.log.Warn("operation is looked at again", "operation", id, "error", err)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.turns[id] = struct{}{}
		})
	}
	wg.Wait()
}
