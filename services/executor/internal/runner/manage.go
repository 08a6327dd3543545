package runner

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/supervise"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// maxInput is the most that one call of input takes, in bytes.
const maxInput = 16 << 20

var (
	errRunning     = errors.New("the run has not ended")
	errInputClosed = errors.New("the run takes no input")
)

// adopt gives a run a newer token. The token holds the workspace from then on
// also where the run is not there: an earlier attempt's start may still be on
// its way, and must find itself too late.
func adopt(ctx context.Context, c *call) error {
	release, err := c.root.Lock()
	if err != nil {
		return err
	}
	defer release()
	if err := take(ctx, c, c.id); err != nil {
		return err
	}
	run, err := c.root.Run(c.id)
	if err != nil {
		return err
	}
	err = checkToken(c, run)
	if err == nil && run.Record.Token != c.token {
		err = run.SetToken(c.token)
	}
	return errors.Join(err, run.Close())
}

// sendInput hands standard input to a run.
func sendInput(c *call, stdin io.Reader) (wire.Reply, error) {
	data, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
	if err != nil {
		return wire.Reply{}, fmt.Errorf("read input: %w", err)
	}
	if len(data) > maxInput {
		return wire.Reply{}, fmt.Errorf("%w: more than %d bytes of input", errInvalid, maxInput)
	}
	var reply wire.Reply
	run, err := fenced(c, func(run *store.Run) error {
		if lives, err := supervisorLives(run); err != nil {
			return err
		} else if !lives {
			return errInputClosed
		}
		reply, err = supervise.Tell(run, supervise.Order{Close: c.end}, data)
		if err == nil {
			return nil
		}
		if status, statusErr := run.Status(); statusErr == nil && status != nil {
			return errInputClosed
		}
		return err
	})
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, run.Close()
}

// list tells the runs that have something on the disk.
func list(c *call) (wire.Reply, error) {
	runs, err := c.root.Runs()
	if err != nil {
		return wire.Reply{}, err
	}
	var reply wire.Reply
	for _, run := range runs {
		lives, liveErr := supervisorLives(run)
		err = errors.Join(err, liveErr, run.Close())
		reply.Runs = append(reply.Runs, wire.Run{ID: run.ID, Token: run.Record.Token, Ended: !lives})
	}
	return reply, err
}

// clean removes what is kept of a run that has ended, and what was prepared for one that
// never started.
func clean(ctx context.Context, c *call) error {
	run, err := fenced(c, func(run *store.Run) error {
		if err := hasEnded(run); err != nil {
			return err
		}
		if err := errors.Join(settle(ctx, run), empty(c.empty)); err != nil {
			return err
		}
		return c.root.Remove(c.id)
	})
	if errors.Is(err, store.ErrNoRun) {
		return unprepare(c)
	}
	if err != nil {
		return err
	}
	return run.Close()
}
