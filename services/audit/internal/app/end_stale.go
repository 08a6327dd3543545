package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// lanePattern is what the tokens of a lane's subject are made of.
var lanePattern = regexp.MustCompile(`^[a-z0-9_-]+$`)

// missing remembers since when running operations are not on their lane. It
// lives in memory: after a restart an operation has the whole time again.
type missing struct {
	mu    sync.Mutex
	since map[run]time.Time
}

// run is one attempt at an operation.
type run struct {
	id      string
	attempt int
}

// EndStale fails the operations that nobody carries out: those that were pending
// for too long, and those that run without a command on their lane. Whoever ends
// one of them first wins, for both write behind the same guard. It goes on after
// an error and returns all; what failed is tried again in the next round.
func (a *App) EndStale(ctx context.Context) (ended int, err error) {
	expired, expiredErr := a.endExpired(ctx)
	lost, lostErr := a.endLost(ctx)
	return expired + lost, errors.Join(expiredErr, lostErr)
}

func (a *App) endExpired(ctx context.Context) (ended int, _ error) {
	pending, err := a.View.Open(ctx, contract.Pending, time.Now().Add(-a.ExpireAfter))
	if err != nil {
		return 0, fmt.Errorf("list expired operations: %w", err)
	}
	var all error
	for _, op := range pending {
		failed, err := a.fail(ctx, run{op.ID, op.Attempt}, contract.Pending, "expired: it did not start within %s", a.ExpireAfter)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("expire operation %s: %w", op.ID, err))
		}
		if failed {
			ended++
		}
	}
	return ended, all
}

func (a *App) endLost(ctx context.Context) (ended int, _ error) {
	now := time.Now()
	running, err := a.View.Open(ctx, contract.Running, now)
	if err != nil {
		return 0, fmt.Errorf("list running operations: %w", err)
	}
	a.missing.mu.Lock()
	defer a.missing.mu.Unlock()
	before := a.missing.since
	a.missing.since = map[run]time.Time{}
	var all error
	for _, op := range running {
		if op.Kind == contract.KindBuild {
			continue // it has no lane, and a limit of time of its own
		}
		r := run{op.ID, op.Attempt}
		there, err := a.onLane(ctx, op)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("look for operation %s: %w", op.ID, err))
		}
		if there || err != nil {
			continue
		}
		since, known := before[r]
		if !known {
			since = now
		}
		a.missing.since[r] = since
		if now.Sub(since) <= a.LostAfter {
			continue
		}
		failed, err := a.fail(ctx, r, contract.Running, "lost: no executor has it any more")
		if err != nil {
			all = errors.Join(all, fmt.Errorf("end lost operation %s: %w", op.ID, err))
		}
		if failed {
			ended++
		}
	}
	return ended, all
}

// onLane tells whether the operation's command is on its lane.
func (a *App) onLane(ctx context.Context, op contract.Operation) (bool, error) {
	for _, token := range []string{op.Lane.Service, op.Lane.Name, op.Lane.Key} {
		if !lanePattern.MatchString(token) {
			return false, nil // no command can be there
		}
	}
	cmd, err := a.Lanes.OnLane(ctx, op.Lane)
	if errors.Is(err, contract.ErrNotFound) {
		return false, nil
	}
	return cmd.Operation == op.ID, err
}

// dueSince is since when a pending operation could have run: one that has to be
// approved since it was, which has a limit of its own.
func dueSince(op contract.Operation) time.Time {
	start, _ := op.Approval(contract.ApprovalStart)
	since := op.CreatedAt
	switch {
	case op.Held:
		return time.Now()
	case start.DecidedAt != nil:
		since = *start.DecidedAt
	}
	if op.Work != nil && op.Work.RunAt != nil && op.Work.RunAt.After(since) {
		return *op.Work.RunAt
	}
	return since
}

// fail ends an attempt, unless the log knows better than the view.
func (a *App) fail(ctx context.Context, r run, state contract.State, format string, args ...any) (failed bool, err error) {
	_, err = a.Operations.Update(ctx, r.id, func(op contract.Operation) (contract.Change, error) {
		failed = op.State == state && op.Attempt == r.attempt && (state != contract.Pending || time.Since(dueSince(op)) > a.ExpireAfter)
		if !failed {
			return nil, nil
		}
		failure, now := contract.NewFailure(contract.ClassInfrastructure, format, args...), time.Now().UTC()
		if op.State == contract.Running && op.Work != nil && !op.CancelRequested {
			if pause, again := op.Work.RetryAfter(failure); again {
				return contract.OperationRetrying{Attempt: r.attempt, Failure: failure, At: now, RunAt: now.Add(pause)}, nil
			}
		}
		return contract.OperationFailed{Attempt: r.attempt, Failure: failure, At: now}, nil
	})
	return failed && err == nil, err
}
