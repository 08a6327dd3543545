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
	Workers    Workers
	Output     Output
	Signals    Signals
	Runtime    Runtime
	Vault      Vault
	Files      Files
	Settings   Settings
	Log        *slog.Logger
	// Stopping is done when the executor is told to stop.
	Stopping context.Context

	mu   sync.Mutex
	here map[turn]struct{} // under way in this process
}

// turn is an operation where a command has it carried out. Work whose try has failed
// may be somewhere else before all is done with that.
type turn struct{ operation, worker string }

// RunOperation carries one operation out, from its command to its end. renew
// keeps the command from going to another executor.
//
// A command that comes again finds the operation running: its last executor
// died, or was cut off. The new attempt shuts that one out by its token and
// joins the run that it left.
func (e *Executor) RunOperation(ctx context.Context, cmd contract.RunOperation, renew func(context.Context) error) error {
	leave, ok := e.enter(turn{cmd.Operation, cmd.Worker})
	if !ok {
		return fmt.Errorf("operation %s: %w", cmd.Operation, ErrAlreadyHere)
	}
	defer leave()

	op, mine, err := e.claim(ctx, cmd)
	if errors.Is(err, contract.ErrNotFound) {
		return fmt.Errorf("operation %s: %w", cmd.Operation, ErrNoSuchOperation)
	}
	if err != nil || !mine {
		return err
	}
	a := &attempt{Executor: e, op: op, renew: renew}
	ending, err := a.carryOut(ctx)
	if err != nil {
		return fmt.Errorf("operation %s, attempt %d: %w", op.ID, op.Attempt, err)
	}
	return a.end(ctx, ending.redacted(a.secrets))
}

// enter notes that a turn is under way here. Whether it is "mine" is
// never read from the log: names in the log outlive the process.
func (e *Executor) enter(t turn) (leave func(), ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.here == nil {
		e.here = map[turn]struct{}{}
	}
	if _, there := e.here[t]; there {
		return nil, false
	}
	e.here[t] = struct{}{}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.here, t)
	}, true
}

// claim appends the running event of a new attempt. An operation that is not to run,
// or not here, is not mine: its command is done with.
func (e *Executor) claim(ctx context.Context, cmd contract.RunOperation) (op contract.Operation, mine bool, err error) {
	op, err = e.Operations.Update(ctx, cmd.Operation, func(op contract.Operation) (contract.Change, error) {
		now := time.Now().UTC()
		if mine = !op.State.Ended() && (op.Work == nil || op.WorkFor(cmd.Worker, now)); !mine {
			return nil, nil
		}
		return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: e.Settings.Instance, Worker: cmd.Worker, At: now}, nil
	})
	return op, mine, err
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
	// final is true of a failure that another try cannot mend.
	final bool
}

// never is the end of what cannot be carried out at all, and why.
func never(format string, args ...any) ending {
	how := failedWith(contract.ClassUser, format, args...)
	how.final = true
	return how
}

// cancelled is the end of an operation that was asked to end before it ran.
func cancelled(op contract.Operation) ending {
	if op.CancelCause != nil {
		return ending{state: contract.Failed, failure: op.CancelCause}
	}
	return ending{state: contract.Cancelled}
}

// retry is after how long work that failed is tried again, or false where it is over.
func (e ending) retry(op contract.Operation) (pause time.Duration, again bool) {
	if op.Work == nil || e.final || op.CancelRequested {
		return 0, false
	}
	return op.Work.RetryAfter(e.failure)
}

func failedWith(class contract.FailureClass, format string, args ...any) ending {
	return ending{state: contract.Failed, failure: contract.NewFailure(class, format, args...)}
}

// end appends the terminal event and lets go of the run. After it nothing of
// the operation is left to do, and a second delivery changes nothing.
func (a *attempt) end(ctx context.Context, how ending) error {
	op, err := a.conclude(ctx, how)
	if errors.Is(err, contract.ErrTooLarge) { // and would be each time
		op, err = a.conclude(ctx, never("what it left, and has to tell, is more than the log holds of an operation: it may leave fewer files, or shorter names"))
	}
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

// conclude appends the terminal event, or that of another try.
func (a *attempt) conclude(ctx context.Context, how ending) (contract.Operation, error) {
	at := time.Now().UTC()
	return a.Operations.Amend(ctx, a.op, func(now contract.Operation) (contract.Change, error) {
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
			if pause, again := how.retry(now); again {
				return contract.OperationRetrying{
					Attempt: now.Attempt, ExitCode: how.exitCode, Failure: how.failure, Result: how.result, At: at, RunAt: at.Add(pause),
				}, nil
			}
			return contract.OperationFailed{Attempt: now.Attempt, ExitCode: how.exitCode, Failure: how.failure, Result: how.result, At: at}, nil
		}
	})
}
