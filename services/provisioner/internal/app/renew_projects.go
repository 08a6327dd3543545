package app

import (
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

// RenewProjects has the log keep every project that was not deleted: its last event is
// the project, and the log forgets by age.
func (a *App) RenewProjects(ctx context.Context) error {
	return eachProject(ctx, a.View, func(project contract.Project) error {
		_, err := a.Projects.RenewProject(ctx, project, contract.RenewAfter)
		return err
	})
}
