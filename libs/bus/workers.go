package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

func workers() entity[contract.Worker] {
	return entity[contract.Worker]{
		name:    contract.EntityWorker,
		seq:     func(w *contract.Worker) *uint64 { return &w.Seq },
		project: func(contract.Worker) string { return "" },
		next:    contract.NextWorker,
	}
}

// Worker decodes the snapshot that an event of a worker carries. It is an error where
// the event is of another entity, or carries another worker.
func (e Event) Worker() (contract.Worker, error) {
	var worker contract.Worker
	if e.Entity != contract.EntityWorker {
		return worker, fmt.Errorf("event %d is of a %s, not of a worker", e.Seq, e.Entity)
	}
	if err := json.Unmarshal(e.Data, &worker); err != nil {
		return worker, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	if worker.ID != e.Key {
		return worker, fmt.Errorf("event %d of worker %q carries worker %q", e.Seq, e.Key, worker.ID)
	}
	worker.Seq = e.Seq
	return worker, nil
}

// Worker reads a worker as the log has it now, or contract.ErrNotFound.
func (c *Conn) Worker(ctx context.Context, id string) (contract.Worker, error) {
	return workers().load(ctx, c, id)
}

// UpdateWorker is UpdateProject for a worker.
func (c *Conn) UpdateWorker(ctx context.Context, id string, decide func(*contract.Worker) (eventType string, proposed contract.Worker, err error)) (contract.Worker, error) {
	return workers().update(ctx, c, id, decide)
}
