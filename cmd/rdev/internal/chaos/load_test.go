package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// load has projects carry out jobs, and cancels some of them.
type load struct {
	world *world
	jobs  map[string]job // by operation

	mu        sync.Mutex
	cancelled map[string]bool // operations that somebody asked to cancel
	open      []string        // operations that have not ended, oldest first
	errs      []error
	wg        sync.WaitGroup
}

func newLoad(w *world) *load {
	return &load{world: w, jobs: map[string]job{}, cancelled: map[string]bool{}}
}

// queueLength is how many operations one submitter has under way at a time.
const queueLength = 4

// submit makes jobs for a project until until is done, and returns when the last
// was accepted.
func (l *load) submit(ctx, until context.Context, random *rand.Rand, project, submitter string) {
	var mine []string
	for n := 0; until.Err() == nil; n++ {
		j := newJob(random, project, fmt.Sprintf("%s-%s-%d", project, submitter, n))
		op, err := l.world.run(ctx, j)
		if err != nil {
			l.fail(fmt.Errorf("job %s was not accepted: %w", j.key, err))
			return
		}
		l.mu.Lock()
		l.jobs[op.ID] = j
		l.open = append(l.open, op.ID)
		l.mu.Unlock()
		mine = append(mine, op.ID)
		switch random.IntN(24) {
		case 0: // as a rule before it runs
			l.cancel(ctx, op.ID, func() bool { return true })
		case 1, 2, 3, 4: // about when it ends
			after := j.nominal() + time.Duration(random.IntN(100))*time.Millisecond
			l.cancel(ctx, op.ID, func() bool { return l.runs(ctx, op.ID, after) })
		}
		for len(mine) >= queueLength && ctx.Err() == nil {
			if _, err := l.world.await(ctx, mine[0]); err != nil {
				l.fail(fmt.Errorf("operation %s did not end: %w", mine[0], err))
				return
			}
			l.closed(mine[0])
			mine = mine[1:]
		}
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

func (l *load) closed(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(other string) bool { return other == id })
}

// cancel asks for the end of an operation once due returns true. Whether the
// request comes through does not matter: it may have.
func (l *load) cancel(ctx context.Context, id string, due func() bool) {
	l.mu.Lock()
	l.cancelled[id] = true
	l.mu.Unlock()
	l.wg.Go(func() {
		if due() {
			_, _ = l.world.client.Cancel(ctx, id)
		}
	})
}

// runs waits until an operation has begun, and for a while longer; it returns
// false where the test ends before.
func (l *load) runs(ctx context.Context, id string, longer time.Duration) bool {
	for {
		op, err := l.world.conn.Load(ctx, id)
		begun, pause := err == nil && op.State != contract.Pending, 20*time.Millisecond
		if begun {
			pause = longer
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
			if begun {
				return true
			}
		}
	}
}

// cancelAny asks for the end of some operation that has not ended.
func (l *load) cancelAny(ctx context.Context, random *rand.Rand) {
	l.mu.Lock()
	var id string
	if len(l.open) > 0 {
		id = l.open[random.IntN(len(l.open))]
	}
	l.mu.Unlock()
	if id != "" {
		l.cancel(ctx, id, func() bool { return true })
	}
}

// executors are the instances that carry something out just now.
func (l *load) executors(ctx context.Context) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	l.mu.Lock()
	open := slices.Clone(l.open)
	l.mu.Unlock()
	busy := map[string]bool{}
	for _, id := range open {
		if op, err := l.world.conn.Load(ctx, id); err == nil && op.State == contract.Running {
			busy[op.Executor] = true
		}
	}
	return busy
}

// awaitAll waits until every operation has ended.
func (l *load) awaitAll(ctx context.Context) error {
	l.wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := slices.Clone(l.errs)
	for id, j := range l.jobs {
		if op, err := l.world.await(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("operation %s (%s) is %s, attempt %d: %w", id, j.key, op.State, op.Attempt, err))
		}
	}
	return errors.Join(errs...)
}
