package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// keeperTick is how often the keeper looks whether something has expired.
const keeperTick = time.Second

// Keeper does what is due on operations by the log and the clock alone: it asks for
// the approvals that commands are held for, decides those that expired, ends what
// was denied, and ends runs whose budget of the day is used up. Any number of
// keepers may run, for the log takes every event once.
type Keeper struct {
	Operations Operations
	Projects   Projects
	Budgets    *Budgets

	rota    *rota
	mu      sync.Mutex
	waiting map[string]contract.Operation // that are held, or wait for an approval
}

// NewKeeper makes a keeper, to be fed by a Fold and run with Run.
func NewKeeper(operations Operations, projects Projects, budgets *Budgets, log *slog.Logger) *Keeper {
	return &Keeper{
		Operations: operations, Projects: projects, Budgets: budgets, rota: newRota(log), waiting: map[string]contract.Operation{},
	}
}

// Apply implements Reader.
func (k *Keeper) Apply(_ time.Time, _ *contract.Operation, op contract.Operation) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if op.Held || op.Waits() {
		k.waiting[op.ID] = op
	} else {
		delete(k.waiting, op.ID)
	}
	// Only what makes progress uses up a budget. What waits is looked at with each tick.
	if op.State == contract.Running && op.Result != nil && !op.CancelRequested {
		k.rota.ask(op.ID)
	} else {
		k.rota.drop(op.ID)
	}
}

// Live implements Reader: from here on what is due is done.
func (k *Keeper) Live() { k.rota.start() }

// Run does what is due until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	k.rota.run(ctx, keeperTick, k.due, k.look)
	return nil
}

// due is the operations that something is due on by the clock.
func (k *Keeper) due(now time.Time) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var ids []string
	for id, op := range k.waiting {
		if due(op, now) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// look does what is due on one operation.
func (k *Keeper) look(ctx context.Context, id string) error {
	op, err := settle(ctx, k.Operations, id, time.Now().UTC())
	if err != nil || op.State != contract.Running || op.CancelRequested {
		return err
	}
	cause, err := k.Budgets.exceeded(ctx, k.Projects, op)
	if err != nil || cause == nil {
		return err
	}
	op, err = k.Operations.Update(ctx, id, func(op contract.Operation) (contract.Change, error) {
		if op.State != contract.Running || op.CancelRequested {
			return nil, nil
		}
		return contract.OperationCancelRequested{Cause: cause}, nil
	})
	if err != nil {
		return err
	}
	return signal(k.Operations, op)
}
