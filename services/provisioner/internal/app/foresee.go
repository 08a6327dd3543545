package app

import (
	"context"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// lookTimeout bounds a look at the systems of a project, so that whoever asked still hears
// of those that answered: a question waits for 10 s at most.
const lookTimeout = 8 * time.Second

// PlanProject answers what an operation on a project would do, and what keeps it from that.
// It changes nothing.
func (a *App) PlanProject(ctx context.Context, request contract.PlanProject) (contract.ProjectPlan, error) {
	op := contract.Operation{Kind: request.Kind, Project: request.Project, Spec: request.Spec, Change: request.Change}
	plan := contract.ProjectPlan{Project: request.Project, Kind: request.Kind, Steps: []contract.ProvisionStep{}}
	if failure := refuse(op); failure != nil {
		return plan, &contract.Error{Code: contract.CodeInvalidRequest, Detail: failure.Message}
	}
	project, err := readProject(ctx, a.Projects, op.Project)
	if err != nil {
		return plan, err
	}
	if refused := plannable(op, project); refused != nil {
		return plan, refused
	}
	if op.Kind == contract.KindProjectCreate {
		project = nil // of one that was deleted nothing is left
	}
	goal, failure := a.goalOf(op, project)
	if failure != nil {
		return plan, &contract.Error{Code: contract.CodeInvalidRequest, Detail: failure.Message}
	}
	plan.Steps = append(plan.Steps, (&saga{App: a, op: op, goal: goal}).brief(ctx)...)
	plan.OK = !slices.ContainsFunc(plan.Steps, func(step contract.ProvisionStep) bool { return step.Failure != nil })
	return plan, ctx.Err()
}

// plannable says why there is nothing to plan.
func plannable(op contract.Operation, project *contract.Project) error {
	there := project != nil && project.State != contract.ProjectDeleted
	var detail string
	switch {
	case op.Kind == contract.KindProjectCreate && there:
		detail = "project " + op.Project + " exists already"
	case op.Kind == contract.KindProjectCreate:
		return nil
	case !there:
		return &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project " + op.Project}
	case op.Kind == contract.KindProjectChange && project.State != contract.ProjectReady:
		detail = "project " + op.Project + " is " + string(project.State)
	default:
		return nil
	}
	return &contract.Error{Code: contract.CodeConflict, Detail: detail}
}

// Drift answers how a project differs from what it is to be. It changes nothing.
func (a *App) Drift(ctx context.Context, request contract.ProjectDrift) (contract.ProjectDifferences, error) {
	found := contract.ProjectDifferences{Project: request.Project, Resources: []contract.ResourceDifference{}}
	project, err := readProject(ctx, a.Projects, request.Project)
	switch {
	case err != nil:
		return found, err
	case project == nil || project.State == contract.ProjectDeleted:
		return found, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project " + request.Project}
	}
	op := contract.Operation{Kind: contract.KindProjectRepair, Project: request.Project}
	goal, failure := a.goalOf(op, project)
	if failure != nil {
		return found, &contract.Error{Code: contract.CodeConflict, Detail: failure.Message}
	}
	s := &saga{App: a, op: op, goal: goal}
	found.Resources = append(found.Resources, s.differences(ctx)...)
	found.Drift = slices.ContainsFunc(found.Resources, func(r contract.ResourceDifference) bool { return r.State != contract.DifferenceNone })
	return found, ctx.Err()
}

// brief is a survey that is over in time.
func (s *saga) brief(ctx context.Context) []contract.ProvisionStep {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return s.survey(ctx)
}

// differences looks at all parts that the project has, or is to have.
func (s *saga) differences(ctx context.Context) (all []contract.ResourceDifference) {
	for _, step := range s.brief(ctx) {
		had := resourceOf(s.goal.have, step.Name)
		difference := contract.ResourceDifference{Name: step.Name, What: step.What}
		switch {
		case step.Action == contract.ProvisionUpdate && had != nil && len(step.Differences) == 0:
			continue // it would only follow another
		case step.Failure != nil:
			difference.State, difference.Differences = contract.DifferenceUnknown, []string{step.Failure.Message}
		case step.Action.Ends():
			difference.State, difference.Differences = contract.DifferenceLeftover, []string{"it is to be removed"}
		case had == nil:
			difference.State, difference.Differences = contract.DifferenceMissing, []string{"it was never made"}
		default:
			difference.State, difference.Differences = contract.DifferenceDiffers, step.Differences
		}
		all = append(all, difference)
	}
	for _, had := range s.goal.have {
		if !slices.ContainsFunc(all, func(r contract.ResourceDifference) bool { return r.Name == had.Name }) {
			all = append(all, contract.ResourceDifference{Name: had.Name, What: had.What, State: contract.DifferenceNone})
		}
	}
	return all
}
