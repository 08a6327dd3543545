package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// ref names the run of this attempt.
func (a *attempt) ref() domain.RunRef {
	return domain.RunRef{
		Project: a.op.Project, Worker: a.op.Worker(), Workspace: a.workspace, Fresh: a.op.Work != nil, ID: a.op.ID, Token: a.op.Seq,
	}
}

// takesOver tells whether another executor has had this try before.
func (a *attempt) takesOver() bool { return a.op.Attempt > a.op.TriedUpTo()+1 }

// carryOut starts the run or joins it, follows it to its end and judges that.
// Its error leaves the operation to another attempt.
func (a *attempt) carryOut(ctx context.Context) (ending, error) {
	project, err := a.Projects.Project(ctx, a.op.Project)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return never("there is no project %s", a.op.Project), nil
	case err != nil:
		return ending{}, err
	case project.State == contract.ProjectDeleted:
		return never("project %s was deleted", a.op.Project), nil
	}
	workspace := project.Workspace
	if a.op.Work != nil {
		worker, err := a.Workers.Worker(ctx, a.op.Worker())
		if errors.Is(err, contract.ErrNotFound) || err == nil && worker.State == contract.WorkerGone {
			return failedWith(contract.ClassInfrastructure, "worker %s is gone", a.op.Worker()), nil
		}
		if err != nil {
			return ending{}, err
		}
		workspace = worker.Workspace
	}
	plan, problem := planFor(a.op, domain.HomeOf(workspace))
	if problem != "" {
		return never("%s", problem), nil
	}
	a.workspace = workspace
	plan.spec.RunRef = a.ref()
	how, err := a.run(ctx, plan)
	if errors.Is(err, errNeverStarted) {
		return cancelled(a.op), nil
	}
	if errors.Is(err, domain.ErrStaleToken) {
		return ending{}, fmt.Errorf("%w: %w", contract.ErrFenced, err)
	}
	if refused, ok := errors.AsType[*domain.RefusedError](err); ok {
		return failedWith(contract.ClassInfrastructure, "%s", refused.Error()), nil
	}
	return how, err
}

// run has the run of this operation run, with its secrets, to its end.
func (a *attempt) run(ctx context.Context, p plan) (ending, error) {
	if len(a.op.Command.Credentials) > 0 {
		values, err := a.openSecrets(ctx)
		if without, ok := errors.AsType[*withoutSecrets](err); ok {
			return without.how, a.abandon(ctx, p.spec.RunRef)
		}
		if err != nil {
			return ending{}, err
		}
		p.spec.Env, values = withRepository(p.spec.Env, values)
		a.secrets = redact.New(values)
	}
	return a.follow(ctx, p)
}

// errNeverStarted is returned for a run that is not wanted any more.
var errNeverStarted = errors.New("it was cancelled before it started")

// startOrJoin has the run of this operation run under this attempt's token, with its
// files.
func (w *watch) startOrJoin() error {
	if w.takesOver() {
		err := w.Runtime.Adopt(w.ctx, w.ref)
		if err == nil || !errors.Is(err, domain.ErrNoRun) {
			return err
		}
		if w.op.CancelRequested {
			return errNeverStarted
		}
	}
	if err := w.bring(); err != nil {
		return err
	}
	return w.Runtime.Start(w.ctx, w.plan.spec)
}

// follow has the run start, relays its output until it has ended and keeps its files,
// while a watch keeps the lease and ends the run where it has to.
func (a *attempt) follow(ctx context.Context, p plan) (ending, error) {
	out, err := a.Output.OpenOutput(ctx, a.op)
	if err != nil {
		return ending{}, err
	}
	follow, detach := context.WithCancelCause(ctx)
	r := p.newRelay(sink{OutputWriter: out, attempt: a.op.Attempt, maxOutput: a.Settings.MaxOutput, secrets: a.secrets})
	w := &watch{attempt: a, ref: p.spec.RunRef, plan: p, relay: r, detach: detach}
	defer func() {
		detach(nil)
		w.wait()
	}()
	if err := w.start(follow); err != nil {
		return ending{}, err
	}
	how, err := w.follow(ctx)
	if without, ok := errors.AsType[*withoutFiles](err); ok {
		return without.how, nil
	}
	if cause := context.Cause(follow); err != nil && cause != nil {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return how, err
}

// follow is that of an attempt, once it is watched.
func (w *watch) follow(ctx context.Context) (ending, error) {
	if err := w.startOrJoin(); err != nil {
		return ending{}, err
	}
	w.live()
	exit, err := w.Runtime.Attach(w.ctx, w.ref, w.relay.from(), func(f domain.Frame) error {
		err := w.relay.take(w.ctx, f)
		w.heard()
		return err
	})
	if err == nil {
		err = w.relay.flush(w.ctx)
	}
	if err != nil {
		return ending{}, err
	}
	how, err := w.relay.finish(ctx, exit, w.over())
	if err == nil && how.state == contract.Completed {
		how, err = w.keep(how)
	}
	return how, err
}

// plan is what a command comes down to.
type plan struct {
	spec     domain.RunSpec
	timeout  time.Duration // 0 for the executor's default
	silence  time.Duration // 0 for none
	newRelay func(sink) relay
	agent    *agentPlan // nil where no agent runs
}

// sink is where a relay passes output on to.
type sink struct {
	OutputWriter
	attempt   int
	maxOutput int64           // bytes that are kept
	secrets   *redact.Secrets // to be masked
}

// relay passes the frames of a run on as chunks of output, and judges its end.
type relay interface {
	// from is the position in the spool to attach from.
	from() int64
	// take passes a frame on, now or with what follows it.
	take(ctx context.Context, f domain.Frame) error
	// flush returns when all that was taken is stored. Nothing is taken after it.
	flush(ctx context.Context) error
	// finish judges how the run ended; stopped is why rdev ended it.
	finish(ctx context.Context, exit domain.Exit, stopped stop) (ending, error)
}
