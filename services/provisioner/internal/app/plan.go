package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// plan finds out what the steps have to do, and has the log know. Where one of them cannot,
// nothing is made.
func (s *saga) plan(ctx context.Context) (*contract.Failure, error) {
	steps := s.survey(ctx)
	if err := s.watch.next(ctx); err != nil {
		return nil, err
	}
	for _, step := range steps {
		if step.Failure != nil {
			failure := *step.Failure
			failure.Message = fmt.Sprintf("%s of %s: %s", step.Name, s.op.Project, failure.Message)
			return &failure, nil
		}
	}
	s.now = steps
	return nil, s.record(ctx)
}

// survey asks all steps, side by side, what they have to do; it changes nothing. One that
// cannot do it has a Failure.
func (s *saga) survey(ctx context.Context) []contract.ProvisionStep {
	steps, todo := s.changes()
	var wg sync.WaitGroup
	for i := range steps {
		if todo[i] == nil {
			continue
		}
		wg.Go(func() {
			steps[i].Failure = try(ctx, func(ctx context.Context) error { return todo[i](ctx, &steps[i]) })
		})
	}
	wg.Wait()
	s.follow(steps)
	return slices.DeleteFunc(steps, func(step contract.ProvisionStep) bool { return step.Action == "" && step.Failure == nil })
}

// follow has what needs a part that becomes another applied again: a database has another
// password then, which the CI has to know. What a repair removes was left by a change, with
// which what needs it has gone.
func (s *saga) follow(steps []contract.ProvisionStep) {
	becomesAnother := func(step contract.ProvisionStep) bool {
		return step.Action == contract.ProvisionUpdate || !s.goal.repair && (step.Action != "" || step.Failure != nil)
	}
	for i, step := range steps {
		if step.Action == "" && step.Failure == nil && slices.ContainsFunc(steps, func(other contract.ProvisionStep) bool {
			return becomesAnother(other) && slices.Contains(step.Needs, other.Name)
		}) {
			steps[i].Action = contract.ProvisionUpdate
		}
	}
}

// look finds out what a step has to do, and sets its Action, which stays empty where that
// is nothing.
type look func(ctx context.Context, step *contract.ProvisionStep) error

// changes are the steps from what the project has to what it is to have, with what is to
// be looked at first; nil where that is nothing.
func (s *saga) changes() (steps []contract.ProvisionStep, todo []look) {
	add := func(step contract.ProvisionStep, first look) {
		step.State, step.At = contract.ProvisionPlanned, time.Now().UTC()
		steps, todo = append(steps, step), append(todo, first)
	}
	var target, before []Step
	if s.goal.target.Slug != "" {
		target = s.wanted(s.goal.before, s.goal.target)
	}
	if s.goal.before.Slug != "" && !s.goal.repair {
		before = s.wanted(s.goal.before, s.goal.before)
	}
	for _, r := range s.goal.have {
		if named(target, r.Name) || r.Action == contract.ProvisionAdopt && s.goal.target.Slug != "" {
			continue
		}
		if s.goal.target.Slug != "" && !s.goal.repair && !named(before, r.Name) {
			continue // a repair removes what is left of another change
		}
		step := contract.ProvisionStep{Name: r.Name, Needs: r.Needs, What: r.What, External: r.External, Action: contract.ProvisionRemove}
		if r.Action == contract.ProvisionAdopt || r.Action == contract.ProvisionKeep || slices.Contains(s.goal.keep, r.Name) {
			step.Action = contract.ProvisionKeep
		}
		add(step, nil)
	}
	for _, step := range target {
		now := contract.ProvisionStep{Name: step.Name(), Needs: step.Needs()}
		had := resourceOf(s.goal.have, now.Name)
		if had != nil {
			now.What = had.What
		}
		switch {
		case had == nil && !named(before, now.Name):
			add(now, s.lookNew(step))
		case had == nil:
		case slices.Contains(s.goal.rotate, now.Name):
			now.Action = contract.ProvisionRotate
			add(now, nil)
		case s.goal.repair:
			add(now, s.lookAgain(step))
		default:
			add(now, nil)
		}
	}
	return steps, todo
}

// lookNew finds out what is to be done for a part that the project has not.
func (s *saga) lookNew(step Step) look {
	return func(ctx context.Context, now *contract.ProvisionStep) (err error) {
		now.Action, now.What, err = step.Plan(ctx, s.task())
		if s.goal.repair && now.Action == contract.ProvisionCreate {
			now.Action = contract.ProvisionUpdate // what a repair has made stays, whatever becomes of the rest
		}
		return err
	}
}

// lookAgain finds out whether a part that the project has is to be made again.
func (s *saga) lookAgain(step Step) look {
	return func(ctx context.Context, now *contract.ProvisionStep) error {
		differences, err := step.Verify(ctx, s.task())
		if now.Differences = differences; len(differences) > 0 {
			now.Action = contract.ProvisionUpdate
		}
		return err
	}
}

func named(steps []Step, name string) bool {
	return slices.ContainsFunc(steps, func(step Step) bool { return step.Name() == name })
}

func resourceOf(all []contract.Resource, name string) *contract.Resource {
	return contract.Project{Resources: all}.Resource(name)
}
