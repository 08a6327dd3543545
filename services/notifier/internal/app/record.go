package app

import (
	"context"
	"time"
)

const (
	// recordBatch is how many results are stored at a time, and recordDelay how long those
	// wait for more: a transaction costs as much as some dozens of them.
	recordBatch = 1000
	recordDelay = 10 * time.Millisecond
	// recordGrace is how long the last ones may take when the service stops.
	recordGrace = 5 * time.Second
	// recordAgain is after how long results are stored again that could not be.
	recordAgain = 500 * time.Millisecond
)

// record stores results, those that come within a while together.
func (c *Courier) record(ctx context.Context) {
	for {
		select {
		case first := <-c.results:
			c.store(ctx, c.gather(ctx, first))
		case <-ctx.Done():
			c.recordRest(ctx)
			return
		}
	}
}

func (c *Courier) gather(ctx context.Context, first Result) []Result {
	batch := []Result{first}
	enough := time.After(recordDelay)
	for len(batch) < recordBatch {
		select {
		case r := <-c.results:
			batch = append(batch, r)
		case <-enough:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

// store stores a batch, however long that takes: meanwhile the lanes come to rest, for
// they do not run far ahead of the table.
func (c *Courier) store(ctx context.Context, batch []Result) {
	for {
		err := c.Deliveries.Record(ctx, batch)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			c.storeLast(ctx, batch)
			return
		}
		c.Logger.Warn("attempts are recorded again", "attempts", len(batch), "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(recordAgain):
		}
	}
	type done struct {
		n      int
		cursor uint64
	}
	lanes := map[string]done{}
	for _, r := range batch {
		d := lanes[r.Endpoint]
		lanes[r.Endpoint] = done{d.n + 1, max(d.cursor, r.Cursor)}
	}
	for id, d := range lanes {
		c.mu.RLock()
		l := c.lanes[id]
		c.mu.RUnlock()
		if l != nil {
			l.stored(d.n, d.cursor)
		}
	}
}

// recordRest stores what was done before the end: else it would be done again.
func (c *Courier) recordRest(ctx context.Context) {
	var rest []Result
	for {
		select {
		case r := <-c.results:
			rest = append(rest, r)
		case <-c.idle:
			for len(c.results) > 0 {
				rest = append(rest, <-c.results)
			}
			c.storeLast(ctx, rest)
			return
		}
	}
}

func (c *Courier) storeLast(ctx context.Context, rest []Result) {
	if len(rest) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordGrace)
	defer cancel()
	if err := c.Deliveries.Record(ctx, rest); err != nil {
		c.Logger.Warn("attempts are not recorded, and made again", "attempts", len(rest), "error", err)
	}
}
