package bus

import (
	"context"

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

// Worker reads a worker as the log has it now, or contract.ErrNotFound.
func (c *Conn) Worker(ctx context.Context, id string) (contract.Worker, error) {
	return workers().load(ctx, c, id)
}

// UpdateWorker is UpdateProject for a worker.
func (c *Conn) UpdateWorker(ctx context.Context, id string, decide func(*contract.Worker) (eventType string, proposed contract.Worker, err error)) (contract.Worker, error) {
	return workers().update(ctx, c, id, decide)
}
