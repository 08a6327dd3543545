package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// Errors of the executor.
var (
	// ErrAlreadyHere is returned for a command that this process carries out
	// already: NATS gave it again because a heartbeat came late.
	ErrAlreadyHere = errors.New("this executor carries the operation out already")
	// ErrNoSuchOperation is returned for a command without an operation.
	ErrNoSuchOperation = errors.New("the command names no operation")
	// ErrLeaseLost ends an attempt that could not reach NATS for too long.
	ErrLeaseLost = errors.New("no heartbeat reached NATS in time")
	// ErrStopping ends an attempt whose executor is told to stop.
	ErrStopping = errors.New("the executor stops")
)

// Settings bound what a command may take.
type Settings struct {
	Instance string // who executes, as the log names it
	Lease    contract.Lease
	Timeout  time.Duration // wall clock of a command that names none
	Silence  time.Duration // of an agent that names none
	Grace    time.Duration // between TERM and KILL
	Progress time.Duration // how often the log is told what an agent has used
	// MaxOutput is the most of a command's output that is kept, in bytes.
	MaxOutput int64
	// EndRunsOnStop ends the runs of an executor that is told to stop. Without
	// it they go on, and another executor joins them.
	EndRunsOnStop bool
}

// Executor carries operations out.
type Executor struct {
	Operations Operations
	Projects   Projects
	Output     Output
	Signals    Signals
	Runtime    Runtime
	Vault      Vault
	Settings   Settings
	Log        *slog.Logger
	// Stopping is done when the executor is told to stop.
	Stopping context.Context

	mu   sync.Mutex
	here map[string]struct{} // operations under way in this process
}

// RunOperation carries one operation out, from its command to its end. renew
// keeps the command from going to another executor.
//
// A command that comes again finds the operation running: its last executor
// died, or was cut off. The new attempt shuts that one out by its token and
// joins the run that it left.
func (e *Executor) RunOperation(ctx context.Context, cmd contract.RunOperation, renew func(context.Context) error) error {
	leave, ok := e.enter(cmd.Operation)
	if !ok {
		return fmt.Errorf("operation %s: %w", cmd.Operation, ErrAlreadyHere)
	}
	defer leave()

	op, err := e.claim(ctx, cmd.Operation)
	if errors.Is(err, contract.ErrNotFound) {
		return fmt.Errorf("operation %s: %w", cmd.Operation, ErrNoSuchOperation)
	}
	if err != nil || op.State.Ended() {
		return err
	}
	a := &attempt{Executor: e, op: op, renew: renew}
	ending, err := a.carryOut(ctx)
	if err != nil {
		return fmt.Errorf("operation %s, attempt %d: %w", op.ID, op.Attempt, err)
	}
	return a.end(ctx, ending.redacted(a.secrets))
}

// enter notes that an operation is under way here. Whether it is "mine" is
// never read from the log: names in the log outlive the process.
func (e *Executor) enter(id string) (leave func(), ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.here == nil {
		e.here = map[string]struct{}{}
	}
	if _, there := e.here[id]; there {
		return nil, false
	}
	e.here[id] = struct{}{}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.here, id)
	}, true
}

// claim appends the running event of a new attempt; an operation that has ended
// is returned as it is.
func (e *Executor) claim(ctx context.Context, id string) (contract.Operation, error) {
	return e.Operations.Update(ctx, id, func(op contract.Operation) (contract.Change, error) {
		if op.State.Ended() {
			return nil, nil
		}
		return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: e.Settings.Instance, At: time.Now().UTC()}, nil
	})
}

// attempt is one executor's go at an operation.
type attempt struct {
	*Executor
	op    contract.Operation // as its running event left it
	renew func(context.Context) error
	// workspace is where the run's files are, "" where it came to no run.
	workspace string
	// secrets are to be masked in whatever the run says, nil where it has none.
	secrets *redact.Secrets
}

// ending is how an attempt ended: the change, without its attempt and time.
type ending struct {
	state    contract.State
	exitCode *int
	failure  *contract.Failure
	result   *contract.Result
}

// cancelled is the end of an operation that was asked to end before it ran.
func cancelled(op contract.Operation) ending {
	if op.CancelCause != nil {
		return ending{state: contract.Failed, failure: op.CancelCause}
	}
	return ending{state: contract.Cancelled}
}

func failedWith(class contract.FailureClass, format string, args ...any) ending {
	return ending{state: contract.Failed, failure: contract.NewFailure(class, format, args...)}
}

// end appends the terminal event and lets go of the run. After it nothing of
// the operation is left to do, and a second delivery changes nothing.
func (a *attempt) end(ctx context.Context, how ending) error {
	at := time.Now().UTC()
	op, err := a.Operations.Update(ctx, a.op.ID, func(now contract.Operation) (contract.Change, error) {
		switch {
		case now.Attempt != a.op.Attempt:
			return nil, fmt.Errorf("attempt %d: %w", a.op.Attempt, contract.ErrFenced)
		case now.State.Ended():
			return nil, nil
		}
		switch how.state {
		case contract.Completed:
			return contract.OperationCompleted{Attempt: now.Attempt, ExitCode: how.exitCode, Result: how.result, At: at}, nil
		case contract.Cancelled:
			return contract.OperationCancelled{Attempt: now.Attempt, ExitCode: how.exitCode, Result: how.result, At: at}, nil
		default:
			return contract.OperationFailed{Attempt: now.Attempt, ExitCode: how.exitCode, Failure: how.failure, Result: how.result, At: at}, nil
		}
	})
	if err != nil {
		return fmt.Errorf("end operation %s: %w", a.op.ID, err)
	}
	if a.workspace == "" {
		return nil
	}
	// Only disk space depends on it, and a lane must not.
	if err := a.Runtime.Clean(ctx, a.ref()); err != nil && !errors.Is(err, domain.ErrNoRun) {
		a.Log.Warn("run not cleaned", "operation", op.ID, "error", err)
	}
	return nil
}
