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
	// keeperTick is how often the keeper looks whether something has expired.
	keeperTick = time.Second
	// keeperTimeout bounds what it does on one operation.
	keeperTimeout = 10 * time.Second
	// keepers is how many operations it deals with at a time.
	keepers = 8
)

// Keeper does what is due on operations by the log and the clock alone: it asks for
// the approvals that commands are held for, decides those that expired, ends what
// was denied, and ends runs whose budget of the day is used up. Any number of
// keepers may run, for the log takes every event once.
type Keeper struct {
	Operations Operations
	Projects   Projects
	Budgets    *Budgets
	Logger     *slog.Logger

	mu      sync.Mutex
	live    bool
	waiting map[string]contract.Operation // that are held, or wait for an approval
	turns   map[string]struct{}           // operations to look at
	wake    chan struct{}
}

// NewKeeper makes a keeper, to be fed by a Fold and run with Run.
func NewKeeper(operations Operations, projects Projects, budgets *Budgets, log *slog.Logger) *Keeper {
	return &Keeper{
		Operations: operations, Projects: projects, Budgets: budgets, Logger: log,
		waiting: map[string]contract.Operation{}, turns: map[string]struct{}{}, wake: make(chan struct{}, 1),
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
		k.turns[op.ID] = struct{}{}
	} else {
		delete(k.turns, op.ID)
	}
	k.stir()
}

// Live implements Reader: from here on what is due is done.
func (k *Keeper) Live() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.live = true
	k.stir()
}

func (k *Keeper) stir() {
	if !k.live || len(k.turns) == 0 {
		return
	}
	select {
	case k.wake <- struct{}{}:
	default: // it is about to look
	}
}

// Run does what is due until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(keeperTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		case <-tick.C:
		}
		k.round(ctx, k.take(time.Now()))
	}
}

// take is the operations that something may be due on.
func (k *Keeper) take(now time.Time) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.live {
		return nil
	}
	var ids []string
	for id, op := range k.waiting {
		if _, has := k.turns[id]; !has && due(op, now) != nil {
			ids = append(ids, id)
		}
	}
	for id := range k.turns {
		ids = append(ids, id)
	}
	clear(k.turns)
	return ids
}

// round looks at operations. What fails is looked at again with the next tick.
func (k *Keeper) round(ctx context.Context, ids []string) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, keepers)
	for _, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			err := k.look(ctx, id)
			if err == nil || errors.Is(err, contract.ErrNotFound) || ctx.Err() != nil {
				return
			}
			k.Logger.Warn("operation is looked at again", "operation", id, "error", err)
			k.mu.Lock()
			defer k.mu.Unlock()
			k.turns[id] = struct{}{}
		})
	}
	wg.Wait()
}

// look does what is due on one operation.
func (k *Keeper) look(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
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
