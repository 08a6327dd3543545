package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Step makes a part of a project, and removes it again. An attempt may die at any line:
// so each of its methods may be called again, whatever became of the call before, and
// what it makes has a mark by which it knows it.
type Step interface {
	Name() string
	// Needs are the names of the steps that come before it.
	Needs() []string
	// Plan tells what is to be done, and what about: it changes nothing. What is there and
	// is not to be touched is an error, as is what cannot be had at all.
	Plan(ctx context.Context, op contract.Operation) (action contract.ProvisionAction, what string, err error)
	// Apply makes it, or finds what a call before has made, and tells what it is called
	// where it is.
	Apply(ctx context.Context, op contract.Operation) (external map[string]string, err error)
	// Undo removes what Apply made, or may have, also where another operation had it done.
	// Where there is nothing that is fine.
	Undo(ctx context.Context, op contract.Operation) error
}

// Optional is a Step that only the projects have which ask for it.
type Optional interface {
	Asked(spec contract.ProjectSpec) bool
}

// StepError is an error of a step that knows whose fault it is. Any other is the
// infrastructure's, and the step is tried again.
type StepError struct {
	Failure *contract.Failure
	// Final is true where the step has tried for as long as makes sense.
	Final bool
}

// Error implements error.
func (e *StepError) Error() string { return e.Failure.Message }

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
	steps []Step // those that the operation asks for
	// now is how far they are; this attempt alone writes it.
	now  []contract.ProvisionStep
	undo *contract.Failure
}

// saga is that of an operation, as the log has it.
func (a *App) saga(op contract.Operation, w *watch) *saga {
	s := &saga{App: a, op: op, watch: w, now: slices.Clone(op.Provisioning), undo: op.Undo}
	for _, step := range a.Steps {
		if optional, ok := step.(Optional); !ok || op.Spec != nil && optional.Asked(*op.Spec) {
			s.steps = append(s.steps, step)
		}
	}
	return s
}

// run takes the steps to their end. failure is why they were undone, and names what could
// not be; errCancelled where that was a cancel, and nothing is left.
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

// external is what a step that was applied has where it is.
func (s *saga) external(step string) map[string]string {
	for _, now := range s.now {
		if now.Name == step {
			return now.External
		}
	}
	return nil
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

// plan asks all steps what they have to do. Where one of them cannot, nothing is made.
func (s *saga) plan(ctx context.Context) (*contract.Failure, error) {
	steps := make([]contract.ProvisionStep, len(s.steps))
	failures := make([]*contract.Failure, len(s.steps))
	var wg sync.WaitGroup
	for i, step := range s.steps {
		wg.Go(func() {
			steps[i] = contract.ProvisionStep{Name: step.Name(), Needs: step.Needs(), State: contract.ProvisionPlanned}
			failures[i] = s.try(ctx, func(ctx context.Context) (err error) {
				steps[i].Action, steps[i].What, err = step.Plan(ctx, s.op)
				return err
			})
			steps[i].At = time.Now().UTC()
		})
	}
	wg.Wait()
	if err := s.watch.next(ctx); err != nil {
		return nil, err
	}
	for i, failure := range failures {
		if failure != nil {
			failure.Message = fmt.Sprintf("%s of %s: %s", s.steps[i].Name(), s.op.Project, failure.Message)
			return failure, nil
		}
	}
	s.now = steps
	return nil, s.record(ctx)
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
			if failure != nil || begun[i] || s.now[i].State != contract.ProvisionPlanned || !s.ready(s.now[i]) {
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
			go func() { results <- s.applyOne(ctx, i, s.now[i].Name) }()
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

func (s *saga) applyOne(ctx context.Context, at int, name string) applied {
	result := applied{at: at}
	result.failure = s.try(ctx, func(ctx context.Context) error {
		step, err := s.step(name)
		if err == nil {
			result.external, err = step.Apply(ctx, s.op)
		}
		return err
	})
	return result
}

// step is the one of a name. The log may have been written by another version.
func (s *saga) step(name string) (Step, error) {
	for _, step := range s.Steps {
		if step.Name() == name {
			return step, nil
		}
	}
	return nil, &StepError{Failure: contract.NewFailure(contract.ClassUnknown, "this version of rdev has no step %q", name)}
}

// note sets what came of a step. One that failed stays planned: something of it may be there.
func (s *saga) note(result applied) {
	step := s.now[result.at]
	if result.failure != nil {
		result.failure.Message = fmt.Sprintf("the %s was not made: %s", step.What, result.failure.Message)
	}
	step.Failure, step.At = result.failure, time.Now().UTC()
	if result.failure == nil {
		step.State, step.External = contract.ProvisionApplied, result.external
	}
	s.now[result.at] = step
}

// ready tells whether all that a step needs is applied.
func (s *saga) ready(step contract.ProvisionStep) bool {
	return !slices.ContainsFunc(s.now, func(other contract.ProvisionStep) bool {
		return slices.Contains(step.Needs, other.Name) && other.State != contract.ProvisionApplied
	})
}

// undoAll removes all that was made. The failure that it returns is why, and names what
// is left.
func (s *saga) undoAll(ctx context.Context) (*contract.Failure, error) {
	if err := s.removeAll(ctx); err != nil {
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

// removeAll removes all that was made, the last one first and those that need others
// before them. What was there before stays.
func (s *saga) removeAll(ctx context.Context) error {
	for at, ok := s.toUndo(); ok; at, ok = s.toUndo() {
		failure := s.try(ctx, func(ctx context.Context) error {
			step, err := s.step(s.now[at].Name)
			if err != nil {
				return err
			}
			return step.Undo(ctx, s.op)
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		step := s.now[at]
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

// cancelledBy is why steps are undone after a cancel.
func cancelledBy() *contract.Failure {
	return contract.NewFailure(contract.ClassUser, "%s", errCancelled)
}

// toUndo is a step that is to be undone, and that none needs which is to be, too.
func (s *saga) toUndo() (at int, ok bool) {
	open := func(step contract.ProvisionStep) bool {
		return step.Action == contract.ProvisionCreate && (step.State == contract.ProvisionPlanned || step.State == contract.ProvisionApplied)
	}
	for at = len(s.now) - 1; at >= 0; at-- {
		if step := s.now[at]; open(step) && !slices.ContainsFunc(s.now, func(other contract.ProvisionStep) bool {
			return open(other) && slices.Contains(other.Needs, step.Name)
		}) {
			return at, true
		}
	}
	return 0, false
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
func (s *saga) try(ctx context.Context, do func(context.Context) error) *contract.Failure {
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
