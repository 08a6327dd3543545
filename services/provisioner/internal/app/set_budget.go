package app

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// SetBudget gives a project another budget, all of it. A project that is not there
// is NOT_FOUND, and one that is not ready a CONFLICT.
func (a *App) SetBudget(ctx context.Context, request contract.SetBudget) (contract.Project, error) {
	return a.Projects.UpdateProject(ctx, request.Project, func(now *contract.Project) (string, contract.Project, error) {
		switch {
		case now == nil || now.State == contract.ProjectDeleted:
			return "", contract.Project{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project " + request.Project}
		case now.State != contract.ProjectReady:
			return "", *now, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("project %s is %s", request.Project, now.State)}
		}
		replaced, other := now.Budget.Replaced(request.Budget)
		if !other {
			return "", *now, nil
		}
		next := *now
		next.Budget = replaced
		return contract.TypeProjectBudgeted, next, nil
	})
}
