package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// resources are what the steps have made, as the project keeps it for its end.
func (s *saga) resources() (all []contract.Resource) {
	for _, step := range s.now {
		all = append(all, contract.Resource{Name: step.Name, Needs: step.Needs, Action: step.Action, What: step.What, External: step.External})
	}
	return all
}

// removeResources removes what was made for a project, and notes of each what became of
// it. What is gone already is fine, and what was there before stays. Where something
// cannot be removed the rest is, and the failure names it.
func (a *App) removeResources(ctx context.Context, op contract.Operation, project contract.Project, w *watch) (*contract.Failure, error) {
	s := a.saga(op, w)
	if s.now == nil {
		s.now = appliedSteps(project)
		if err := s.record(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.removeAll(ctx); err != nil {
		return nil, err
	}
	var failure *contract.Failure
	var left []string
	for _, step := range s.now {
		if step.State == contract.ProvisionLeft {
			failure = step.Failure
			left = append(left, fmt.Sprintf("the %s was not removed: %s", step.What, step.Failure.Message))
		}
	}
	if failure == nil {
		return nil, nil
	}
	return contract.NewFailure(failure.Class, "%s", strings.Join(left, "; ")), nil
}

// appliedSteps are the resources of a project as steps that were applied.
func appliedSteps(project contract.Project) (all []contract.ProvisionStep) {
	resources := project.Resources
	if len(resources) == 0 { // it was made before resources were noted
		resources = []contract.Resource{{Name: WorkspaceStep{}.Name(), Action: contract.ProvisionCreate, What: workspaceOf(project.Slug)}}
	}
	for _, r := range resources {
		all = append(all, contract.ProvisionStep{
			Name: r.Name, Needs: r.Needs, Action: r.Action, What: r.What, External: r.External,
			State: contract.ProvisionApplied, At: time.Now().UTC(),
		})
	}
	return all
}
