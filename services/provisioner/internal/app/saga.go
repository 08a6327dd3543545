package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	// stepTimeout bounds one try at one step.
	stepTimeout = 15 * time.Minute
	// stepTries is how often it is tried, stepPause what is between the first two; each
	// pause after it is twice as long.
	stepTries = 5
	stepPause = 250 * time.Millisecond
)

// saga takes the steps of an operation from where the log has them to their end: all are
// applied, or nothing is left of what they made. What became of a step is in the log
// before one that needs it begins; steps that do not need each other go side by side.
type saga struct {
	*App
	op    contract.Operation
	watch *watch
	goal  goal
	// now is how far they are; this attempt alone writes it.
	now  []contract.ProvisionStep
	undo *contract.Failure
}

// goal is where an operation takes a project.
type goal struct {
	before contract.ProjectSpec // without a slug where there was no project
	target contract.ProjectSpec // without a slug where there is to be none
	have   []contract.Resource
	// repair has all parts looked at, and made again where they differ.
	repair bool
	rotate []string // parts that get another secret
	keep   []string // parts that stay where the project goes
}

// saga is that of an operation, as the log has it.
func (a *App) saga(op contract.Operation, w *watch, g goal) *saga {
	return &saga{App: a, op: op, watch: w, goal: g, now: slices.Clone(op.Provisioning), undo: op.Undo}
}

// run takes the steps to where all that is to be there is. failure is why they were
// undone, and names what could not be; errCancelled where that was a cancel, and nothing
// is left.
func (s *saga) run(ctx context.Context) (failure *contract.Failure, err error) {
	if s.now == nil {
		if failure, err = s.plan(ctx); failure != nil || err != nil {
			return failure, err
		}
	}
	if s.undo != nil {
		return s.undoAll(ctx)
	}
	if failure, err = s.apply(ctx); failure == nil || err != nil {
		return nil, err
	}
	return s.abandon(ctx, failure)
}

// abandon undoes all that was made, and says why in the log first: from then on no attempt
// goes on with it.
func (s *saga) abandon(ctx context.Context, why *contract.Failure) (*contract.Failure, error) {
	s.undo = why
	if err := s.record(ctx); err != nil {
		return nil, err
	}
	return s.undoAll(ctx)
}

// external is what a part of the project has where it is.
func (s *saga) external(name string) map[string]string {
	if i := s.at(name); i >= 0 && s.now[i].External != nil {
		return s.now[i].External
	}
	if resource := resourceOf(s.goal.have, name); resource != nil {
		return resource.External
	}
	return nil
}

// at is where a step is among those of the operation, -1 where it is not.
func (s *saga) at(name string) int {
	return slices.IndexFunc(s.now, func(step contract.ProvisionStep) bool { return step.Name == name })
}

// task is what the steps are asked for. One that removes is asked for what was.
func (s *saga) task() Task {
	spec := s.goal.target
	if spec.Slug == "" {
		spec = s.goal.before
	}
	return Task{Op: s.op, Slug: s.op.Project, Spec: spec, of: s.external}
}

// record has the log know how far the steps are.
func (s *saga) record(ctx context.Context) error {
	_, err := s.Operations.Update(ctx, s.op.ID, func(now contract.Operation) (contract.Change, error) {
		if now.Attempt != s.op.Attempt || now.State.Ended() {
			return nil, fmt.Errorf("attempt %d where %d is %s: %w", s.op.Attempt, now.Attempt, now.State, contract.ErrFenced)
		}
		return contract.OperationProvisioned{Attempt: s.op.Attempt, Steps: s.now, Undo: s.undo}, nil
	})
	if err != nil {
		return fmt.Errorf("record the steps of %s: %w", s.op.ID, err)
	}
	return nil
}

// applied is what came of a step.
type applied struct {
	at       int
	external map[string]string
	failure  *contract.Failure
}

// apply applies all steps that are not, each as soon as what it needs is. After a failure
// or a cancel none begins any more; those under way come to their end.
func (s *saga) apply(ctx context.Context) (failure *contract.Failure, _ error) {
	results := make(chan applied, len(s.now))
	begun, underway := map[int]bool{}, 0
	for {
		for i := range s.now {
			if failure != nil || begun[i] || !toApply(s.now[i]) || !s.ready(s.now[i]) {
				continue
			}
			if err := s.watch.next(ctx); errors.Is(err, errCancelled) {
				failure = cancelledBy()
				break
			} else if err != nil {
				return nil, err // what is under way is done again by the next attempt
			}
			begun[i] = true
			underway++
			name, task := s.now[i].Name, s.snapshot()
			go func() { results <- s.applyOne(ctx, i, name, task) }()
		}
		if underway == 0 {
			return failure, nil
		}
		result := <-results
		underway--
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.note(result)
		if result.failure != nil && failure == nil {
			failure = result.failure
		}
		if err := s.record(ctx); err != nil {
			return nil, err
		}
	}
}

// snapshot is a task that sees the parts as they are now: others are noted beside it.
func (s *saga) snapshot() Task {
	then := &saga{goal: s.goal, now: slices.Clone(s.now)}
	task := s.task()
	task.of = then.external
	return task
}

func (s *saga) applyOne(ctx context.Context, at int, name string, task Task) applied {
	result := applied{at: at}
	result.failure = try(ctx, func(ctx context.Context) error {
		step, err := s.step(name)
		if err == nil {
			result.external, err = step.Apply(ctx, task)
		}
		return err
	})
	return result
}

// note sets what came of a step. One that failed stays planned: something of it may be there.
func (s *saga) note(result applied) {
	step := s.now[result.at]
	if result.failure != nil {
		result.failure.Message = fmt.Sprintf("the %s was not %s: %s", step.What, done(step.Action), result.failure.Message)
	}
	step.Failure, step.At = result.failure, time.Now().UTC()
	if result.failure == nil {
		step.State, step.External = contract.ProvisionApplied, result.external
	}
	s.now[result.at] = step
}

// done says in a word what an action has done.
func done(action contract.ProvisionAction) string {
	switch action {
	case contract.ProvisionAdopt:
		return "taken over"
	case contract.ProvisionWrite:
		return "written"
	case contract.ProvisionUpdate:
		return "updated"
	case contract.ProvisionRotate:
		return "given another secret"
	case contract.ProvisionKeep:
		return "kept"
	case contract.ProvisionRemove:
		return "removed"
	case contract.ProvisionCreate:
	}
	return "made"
}

// ready tells whether all that a step needs is applied.
func (s *saga) ready(step contract.ProvisionStep) bool {
	return !slices.ContainsFunc(s.now, func(other contract.ProvisionStep) bool {
		return slices.Contains(step.Needs, other.Name) && toApply(other)
	})
}

// toApply tells whether a step is to be applied.
func toApply(step contract.ProvisionStep) bool {
	return step.State == contract.ProvisionPlanned && !step.Action.Ends()
}

// undoAll removes all that was made. The failure that it returns is why, and names what
// is left.
func (s *saga) undoAll(ctx context.Context) (*contract.Failure, error) {
	if err := s.removeEach(ctx, toUndo); err != nil {
		return nil, err
	}
	left := s.left()
	if len(left) == 0 && s.undo.Message == cancelledBy().Message {
		return nil, errCancelled
	}
	failure := *s.undo
	if len(left) > 0 {
		failure.Message += "; left, for it could not be removed: " + strings.Join(left, ", ")
	}
	return &failure, nil
}

// toUndo tells whether a step has made something, or may have, that was not there before: of
// what was, that is what it was given.
func toUndo(step contract.ProvisionStep) bool {
	begins := step.Action == contract.ProvisionCreate || step.Action == contract.ProvisionAdopt
	return begins && (step.State == contract.ProvisionPlanned || step.State == contract.ProvisionApplied)
}

// toRemove tells whether a step is to end what the project has.
func toRemove(step contract.ProvisionStep) bool {
	return step.Action.Ends() && step.State == contract.ProvisionPlanned
}

// remove ends what the project is not to have any more. Where something cannot be removed
// the rest is, and the failure names it.
func (s *saga) remove(ctx context.Context) (*contract.Failure, error) {
	if err := s.removeEach(ctx, toRemove); err != nil {
		return nil, err
	}
	var failure *contract.Failure
	var left []string
	for _, step := range s.now {
		if step.State == contract.ProvisionLeft {
			failure = step.Failure
			left = append(left, fmt.Sprintf("the %s was not %s: %s", step.What, done(step.Action), step.Failure.Message))
		}
	}
	if failure == nil {
		return nil, nil
	}
	return contract.NewFailure(failure.Class, "%s", strings.Join(left, "; ")), nil
}

// removeEach removes, or lets go, what the steps have that open chooses: the last one
// first, and those that need others before them.
func (s *saga) removeEach(ctx context.Context, open func(contract.ProvisionStep) bool) error {
	for at := s.last(open); at >= 0; at = s.last(open) {
		step := s.now[at]
		failure := try(ctx, func(ctx context.Context) error { return s.end(ctx, step) })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		step.State, step.At = contract.ProvisionUndone, time.Now().UTC()
		if failure != nil {
			step.State, step.Failure = contract.ProvisionLeft, failure
		}
		s.now[at] = step
		if err := s.record(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end ends the part that a step has made.
func (s *saga) end(ctx context.Context, now contract.ProvisionStep) error {
	step, err := s.step(now.Name)
	if err != nil {
		return err
	}
	if now.Action != contract.ProvisionKeep && now.Action != contract.ProvisionAdopt {
		return step.Undo(ctx, s.task())
	}
	if releaser, ok := step.(Releaser); ok {
		return releaser.Release(ctx, s.task())
	}
	return refusal("it cannot be kept")
}

// cancelledBy is why steps are undone after a cancel.
func cancelledBy() *contract.Failure {
	return contract.NewFailure(contract.ClassUser, "%s", errCancelled)
}

// last is the last of the steps that are open and that none needs which is, too; -1 where
// none is open.
func (s *saga) last(open func(contract.ProvisionStep) bool) int {
	for at, step := range slices.Backward(s.now) {
		if open(step) && !slices.ContainsFunc(s.now, func(other contract.ProvisionStep) bool {
			return open(other) && slices.Contains(other.Needs, step.Name)
		}) {
			return at
		}
	}
	return -1
}

func (s *saga) left() (all []string) {
	for _, step := range s.now {
		if step.State == contract.ProvisionLeft {
			all = append(all, step.What)
		}
	}
	return all
}

// try does one thing of a step, again where that may help.
func try(ctx context.Context, do func(context.Context) error) *contract.Failure {
	pause := stepPause
	for tries := 1; ; tries++ {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, stepTimeout)
			defer cancel()
			return do(ctx)
		}()
		if err == nil {
			return nil
		}
		failure, final := failureOf(err)
		if final || tries == stepTries || ctx.Err() != nil {
			return failure
		}
		select {
		case <-ctx.Done():
			return failure
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// failureOf is an error as a failure, and whether it is no use to try again.
func failureOf(err error) (failure *contract.Failure, final bool) {
	if known, ok := errors.AsType[*StepError](err); ok {
		failure := *known.Failure
		return &failure, known.Final || !failure.Retryable
	}
	return contract.NewFailure(contract.ClassInfrastructure, "%v", err), false
}
