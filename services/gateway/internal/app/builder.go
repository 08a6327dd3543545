package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// builderTick is how often the builder looks at builds by the clock: at those whose time is
// up, and at those of which something could not be done before.
const builderTick = time.Second

// Builder takes builds from step to step. What a build is to do next follows from the log
// alone, and each of its steps comes to a piece of work with an id that is known
// beforehand: so any number of builders may run, and one that dies at any line leaves
// nothing that another does not find.
type Builder struct {
	App *App
	Met Condition

	rota *rota
	mu   sync.Mutex
	open map[string]*openBuild
}

// openBuild is a build that has not ended.
type openBuild struct {
	started *time.Time
	timeout time.Duration
	stopped bool            // it was asked to end
	work    map[string]bool // of its steps, by operation: whether it is over
}

// NewBuilder makes a builder, to be fed by a Fold and run with Run.
func NewBuilder(app *App, met Condition, log *slog.Logger) *Builder {
	return &Builder{App: app, Met: met, rota: newRota(log), open: map[string]*openBuild{}}
}

// Apply implements Reader.
func (b *Builder) Apply(_ time.Time, _ *contract.Operation, op contract.Operation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case op.Build != nil && op.State.Ended():
		delete(b.open, op.ID)
		b.rota.drop(op.ID)
	case op.Build != nil:
		build, known := b.open[op.ID]
		if !known {
			build = &openBuild{timeout: time.Duration(op.Build.Timeout), work: map[string]bool{}}
			b.open[op.ID] = build
		}
		build.started, build.stopped = op.StartedAt, op.CancelRequested
		b.rota.ask(op.ID)
	case op.Work != nil && op.Work.Step != nil:
		if build, open := b.open[op.Work.Step.Build]; open {
			build.work[op.ID] = op.State.Ended()
			if op.State.Ended() {
				b.rota.ask(op.Work.Step.Build)
			}
		}
	}
}

// Live implements Reader: from here on builds go on.
func (b *Builder) Live() { b.rota.start() }

// Run takes builds on until ctx is done.
func (b *Builder) Run(ctx context.Context) error {
	b.rota.run(ctx, builderTick, b.due, b.look)
	return nil
}

// due is the builds whose time is up.
func (b *Builder) due(now time.Time) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id, build := range b.open {
		if build.started != nil && !build.stopped && now.After(build.started.Add(build.timeout)) {
			ids = append(ids, id)
		}
	}
	return ids
}

// seen tells whether the log, as far as it was read, has the work of a step, and whether
// that is over.
func (b *Builder) seen(build, operation string) (known, over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if open, ok := b.open[build]; ok {
		over, known = open.work[operation]
	}
	return known, over
}

// look takes one build as far as it goes now. Every part of it may be done twice. A step
// whose work cannot be made yet, as where too much waits, holds up nothing else.
func (b *Builder) look(ctx context.Context, id string) error {
	for {
		op, err := b.App.Operations.Load(ctx, id)
		if err != nil || op.State.Ended() || op.Build == nil {
			return err
		}
		over, missing := b.follow(ctx, op)
		further := false
		_, err = b.App.Operations.Update(ctx, id, func(now contract.Operation) (contract.Change, error) {
			change := b.next(now, over, time.Now().UTC())
			further = change != nil
			return change, nil
		})
		if err != nil || !further {
			return errors.Join(err, missing)
		}
	}
}

// next is what the log is to be told of a build, nil where it stays as it is.
func (b *Builder) next(op contract.Operation, over map[string]contract.Operation, now time.Time) contract.Change {
	if op.State.Ended() || op.Build == nil {
		return nil
	}
	if limit := time.Duration(op.Build.Timeout); op.StartedAt != nil && !op.CancelRequested && now.After(op.StartedAt.Add(limit)) {
		return contract.OperationCancelRequested{Cause: contract.NewFailure(contract.ClassTimeout, "the build took longer than %s", limit)}
	}
	steps, changed := advance(op.ID, op.Build, over, op.CancelRequested, now, b.Met)
	switch {
	case changed:
		return contract.OperationStepped{Steps: steps, At: now}
	case op.Build.Ended():
		return verdict(op, now)
	}
	return nil
}

// follow sees to the work of the steps that run, and returns what of it is over, by the
// names of the steps. Its error is of those that it could not see to.
func (b *Builder) follow(ctx context.Context, op contract.Operation) (over map[string]contract.Operation, missing error) {
	over = map[string]contract.Operation{}
	stop := op.CancelRequested || op.Build.FailFast && slices.ContainsFunc(op.Build.Steps, broke)
	for _, step := range op.Build.Steps {
		if step.State != contract.StepRunning {
			continue
		}
		see := b.work
		switch known, over := b.seen(op.ID, step.Operation); {
		case stop:
			see = b.stop
		case known && !over:
			continue
		case !known && missing != nil: // it would fare as the one before
			continue
		}
		work, err := see(ctx, op, step)
		switch {
		case ctx.Err() != nil:
			return over, err
		case err != nil:
			missing = fmt.Errorf("step %s: %w", step.Name, err) // as of many others
		case work.State.Ended():
			over[step.Name] = work
		}
	}
	return over, missing
}

// stop asks for the end of the work of a step. Where that is not there it is made all the
// same: nobody else can make it any more.
func (b *Builder) stop(ctx context.Context, build contract.Operation, step contract.BuildStep) (contract.Operation, error) {
	op, err := b.App.Operations.Load(ctx, step.Operation)
	if errors.Is(err, contract.ErrNotFound) {
		op, err = b.end(ctx, build, step, contract.OperationCancelled{At: time.Now().UTC()})
	}
	if err != nil || op.State.Ended() {
		return op, err
	}
	accepted, err := b.App.Cancel(ctx, op.ID)
	if problem, ok := errors.AsType[*contract.Error](err); ok && problem.Code == contract.CodeConflict { // it has just ended
		return b.App.Operations.Load(ctx, op.ID)
	}
	return accepted.Operation, err
}

// work is the work of a step, which is made where it is not there. Where it is refused
// for good, as by a budget that is used up, it is made and fails.
func (b *Builder) work(ctx context.Context, build contract.Operation, step contract.BuildStep) (contract.Operation, error) {
	op, err := b.App.Operations.Load(ctx, step.Operation)
	if !errors.Is(err, contract.ErrNotFound) {
		return op, err
	}
	accepted, err := b.App.acceptWork(ctx, askerOf(build, step), workOf(build, step))
	if err == nil {
		return accepted.Operation, nil
	}
	if errors.Is(err, ErrExists) { // another builder was first
		return b.App.Operations.Load(ctx, step.Operation)
	}
	refused, final := errors.AsType[*contract.Error](err)
	if !final || refused.Code == contract.CodeRateLimited || refused.Code == contract.CodeUnavailable {
		return op, err
	}
	return b.end(ctx, build, step, contract.OperationFailed{
		Failure: contract.NewFailure(classOf(refused.Code), "%s", refused.Detail), At: time.Now().UTC(),
	})
}

// end makes the work of a step, which nobody has accepted, and ends it unless it runs.
func (b *Builder) end(ctx context.Context, build contract.Operation, step contract.BuildStep, how contract.Change) (contract.Operation, error) {
	item, asker := workOf(build, step), askerOf(build, step)
	op, err := b.App.Operations.Create(ctx, contract.Operation{
		ID: asker.ID, Kind: item.Kind, Project: item.Project, Lane: contract.WorkLane(), Command: &item.Command, Work: &item.Work,
		Key: asker.Key, Actor: asker.Actor, Traceparent: asker.Traceparent, CreatedAt: time.Now().UTC(),
	})
	if err != nil && !errors.Is(err, ErrExists) {
		return op, err
	}
	return b.App.Operations.Update(ctx, asker.ID, func(op contract.Operation) (contract.Change, error) {
		if op.State != contract.Pending {
			return nil, nil
		}
		return how, nil
	})
}

// askerOf is who asks for the work of a step: whoever asked for the build.
func askerOf(build contract.Operation, step contract.BuildStep) Asker {
	return Asker{ID: step.Operation, Key: build.Key, Actor: build.Actor, Traceparent: build.Traceparent}
}

func classOf(code contract.Code) contract.FailureClass {
	if code == contract.CodeBudgetExceeded {
		return contract.ClassBudget
	}
	return contract.ClassUser
}

// workOf is the piece of work that a step comes to.
func workOf(build contract.Operation, step contract.BuildStep) WorkItem {
	command, files := step.Command, step.Files
	command.Env = maps.Clone(command.Env)
	if command.Env == nil {
		command.Env = map[string]string{}
	}
	command.Env["RDEV_BUILD"], command.Env["RDEV_STEP"] = build.ID, step.Name
	for _, of := range build.Build.Steps {
		if slices.Contains(step.Needs, of.Of) && of.State == contract.StepCompleted && len(of.Files.Artifacts) > 0 {
			files.Inputs = append(slices.Clip(files.Inputs), contract.Input{Name: of.Name, Operation: of.Operation})
		}
	}
	return WorkItem{
		Project: build.Project, Kind: step.Kind, Command: command, Work: contract.Work{
			Repository: commitOf(build.Build, step), Priority: build.Build.Priority, MaxAttempts: step.MaxAttempts, Backoff: step.Backoff,
			Labels: build.Build.Labels, Step: &contract.StepOf{Build: build.ID, Step: step.Name}, Files: files, Services: step.Services,
		},
	}
}
