package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/runner/process"
	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/supervise"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// patience is what a supervisor is given beyond the grace to end its run, and
// orphans to die, before something stronger is used or the caller is told.
const patience = 15 * time.Second

// cancel ends a run by the ladder and returns when nothing of it lives.
func cancel(ctx context.Context, c *call) error {
	run, err := fenced(c, func(run *store.Run) error { return order(run, c.grace) })
	if err != nil {
		return err
	}
	defer run.Close()
	return await(ctx, run, c.grace+patience)
}

// kill ends a run without grace.
func kill(ctx context.Context, run *store.Run) error {
	if err := order(run, 0); err != nil {
		return err
	}
	return await(ctx, run, patience)
}

// fenced opens a run and calls do while the caller's token is known to be none
// that was replaced. The caller closes the run.
func fenced(c *call, do func(*store.Run) error) (*store.Run, error) {
	release, err := c.root.Lock()
	if err != nil {
		return nil, err
	}
	defer release()
	run, err := c.root.Run(c.id)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkToken(c, run), err); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	if err := do(run); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

// checkToken refuses a caller whose run has a newer token.
func checkToken(c *call, run *store.Run) error {
	if c.token < run.Record.Token {
		return fmt.Errorf("%w: %d, not %d", errStale, run.Record.Token, c.token)
	}
	return nil
}

// order tells a run's supervisor to end it, where there is one.
func order(run *store.Run, grace time.Duration) error {
	lives, err := supervisorLives(run)
	if err != nil || !lives {
		return err
	}
	// One that cannot be told is dealt with when it does not end.
	_, _ = supervise.Tell(run, supervise.Order{Cancel: true, Grace: grace}, nil)
	return nil
}

// await waits until a run has ended. A supervisor that does not end it in time is
// killed, and then its guard; what is left of them is found by settle.
func await(ctx context.Context, run *store.Run, within time.Duration) error {
	alive, err := run.Alive()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		defer alive.Close()
		ended <- alive.Wait()
	}()
	for _, harder := range []func(store.Process) process.Process{
		func(p store.Process) process.Process {
			return process.Process{PID: p.Supervisor, Start: p.SupervisorStart}
		},
		func(p store.Process) process.Process { return process.Process{PID: p.Guard, Start: p.GuardStart} },
		nil,
	} {
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("wait for run %s: %w", run.ID, err)
			}
			return settle(ctx, run)
		case <-ctx.Done():
			return fmt.Errorf("wait for run %s: %w", run.ID, ctx.Err())
		case <-time.After(within):
			within = patience
		}
		if harder == nil {
			break
		}
		if err := killProcess(run, harder); err != nil {
			return err
		}
	}
	return fmt.Errorf("end run %s: %w", run.ID, process.ErrSurvivors)
}

// killProcess kills one of the processes that a run has on record.
func killProcess(run *store.Run, which func(store.Process) process.Process) error {
	known, err := run.Process()
	if err != nil {
		return err
	}
	where, err := process.Where()
	if err != nil {
		return err
	}
	if known == nil || known.Where != where {
		return fmt.Errorf("end run %s: its processes are not known here", run.ID)
	}
	return process.Kill(which(*known))
}

// supervisorLives tells whether a run's supervisor does.
func supervisorLives(run *store.Run) (bool, error) {
	alive, err := run.Alive()
	if err != nil {
		return false, err
	}
	defer alive.Close()
	return alive.Held()
}

// settle makes an end of a run whose supervisor is gone: where it left no status
// its orphans are killed, and it is recorded that nobody knows how it ended.
func settle(ctx context.Context, run *store.Run) error {
	alive, err := run.Alive()
	if err != nil {
		return err
	}
	defer alive.Close()
	if err := alive.Take(); err != nil {
		return err
	}
	if status, err := run.Status(); err != nil || status != nil {
		return err
	}
	known, err := run.Process()
	if err != nil {
		return err
	}
	status := wire.Status{Code: -1, EndedAt: time.Now().UTC()}
	if known != nil {
		status.StartedAt = known.StartedAt
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if status.Leftovers, err = process.Sweep(ctx, run.Record.Mark); err != nil {
		return fmt.Errorf("end run %s: %w", run.ID, err)
	}
	return run.SetStatus(status)
}
