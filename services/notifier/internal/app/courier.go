package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Courier sends events to endpoints: to each in the order of the log and one at a
// time, side by side to all. One process at a time may do so.
//
//	log ──tail──▶ offer ──▶ lane's queue ──▶ request ──▶ results ──▶ table, with the cursor
//	 └────────────pages────────▲ of a lane that is behind
type Courier struct {
	Endpoints  Endpoints
	Deliveries Deliveries
	Log        Log
	Sender     Sender
	Policy     domain.Policy
	Logger     *slog.Logger

	mu    sync.RWMutex
	lanes map[string]*lane
	index atomic.Pointer[index]

	// position is how far the log was told; every event up to it was stored. offered is
	// how far it was offered to the lanes.
	position, offered atomic.Uint64
	pages             pages
	results           chan Result
	brisk             chan struct{} // slots of requests to endpoints that answer
	slow              chan struct{} // and of those to endpoints that do not, or have not
	working           sync.WaitGroup
	closing           bool          // no lane begins to work any more
	idle              chan struct{} // closed once none works
}

const (
	// reloadEvery is how often endpoints that were changed are looked for.
	reloadEvery = 250 * time.Millisecond
	reloadBatch = 1000
	// markEvery is how often cursors are stored that moved on without an attempt.
	markEvery = 15 * time.Second
	// inFlight is how many requests are under way of each sort.
	inFlight = 256
	// slowAfter is how long a request may take before it leaves its slot to others.
	slowAfter = time.Second
)

// Run sends events until ctx is done. Requests that are under way then are cut off,
// and made again by whoever runs next.
func (c *Courier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.lanes, c.closing, c.idle = map[string]*lane{}, false, make(chan struct{})
	c.index.Store(newIndex(nil))
	c.pages = pages{read: c.Log.Read, spawn: c.working.Go}
	c.results = make(chan Result, 4*recordBatch)
	c.brisk, c.slow = make(chan struct{}, inFlight), make(chan struct{}, inFlight)

	last, err := c.Log.Last(ctx)
	if err != nil {
		return fmt.Errorf("find the end of the log: %w", err)
	}
	c.position.Store(last)
	c.offered.Store(last)
	changes := int64(-1)
	if changes, err = c.reload(ctx, changes); err != nil {
		return err
	}
	var parts sync.WaitGroup
	defer func() {
		cancel()
		c.mu.Lock()
		c.closing = true
		c.mu.Unlock()
		c.working.Wait()
		close(c.idle)
		parts.Wait()
	}()
	failed := make(chan error, 1)
	parts.Go(func() { c.record(ctx) })
	parts.Go(func() {
		select {
		case failed <- c.Log.Tail(ctx, last, c.offer):
		case <-ctx.Done():
		}
	})
	reload, mark := time.NewTicker(reloadEvery), time.NewTicker(markEvery)
	defer reload.Stop()
	defer mark.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("follow the log: %w", err)
		case <-reload.C:
			if changes, err = c.reload(ctx, changes); err != nil && ctx.Err() == nil {
				c.Logger.Warn("changes of endpoints are looked for again", "error", err)
			}
		case <-mark.C:
			if err := c.mark(ctx); err != nil && ctx.Err() == nil {
				c.Logger.Warn("cursors are stored later", "error", err)
			}
		}
	}
}

// offer gives an event to the endpoints that want it and have all before it.
func (c *Courier) offer(e *Event) {
	c.position.Store(e.Seq)
	for l := range c.index.Load().wanting(e.Type) {
		l.offer(e)
	}
	c.offered.Store(e.Seq)
}

// reload takes over what was changed of endpoints after a change, and tells the last.
func (c *Courier) reload(ctx context.Context, after int64) (int64, error) {
	for {
		changed, err := c.Endpoints.Changed(ctx, after, reloadBatch)
		if err != nil {
			return after, fmt.Errorf("read changed endpoints: %w", err)
		}
		var woken []*lane
		c.mu.Lock()
		for _, e := range changed {
			after = e.ChangeSeq
			l := c.lanes[e.Webhook.ID]
			if l == nil {
				l = newLane(ctx, c)
				c.lanes[e.Webhook.ID] = l
			}
			if e.Deleted {
				delete(c.lanes, e.Webhook.ID)
			}
			l.change(e)
			woken = append(woken, l)
		}
		if len(changed) > 0 {
			c.index.Store(newIndex(c.lanes))
		}
		c.mu.Unlock()
		for _, l := range woken {
			l.wake()
		}
		if len(changed) < reloadBatch {
			return after, nil
		}
	}
}

// mark stores the cursors that moved on although nothing was to be sent.
func (c *Courier) mark(ctx context.Context) error {
	c.mu.RLock()
	var marks []Mark
	for _, l := range c.lanes {
		if m, ok := l.mark(); ok {
			marks = append(marks, m)
		}
	}
	c.mu.RUnlock()
	if len(marks) == 0 {
		return nil
	}
	return c.Deliveries.Mark(ctx, marks)
}

// Lag is how many events the endpoint that is furthest behind has not looked at.
func (c *Courier) Lag() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var most uint64
	for _, l := range c.lanes {
		most = max(most, l.lag())
	}
	return most
}
