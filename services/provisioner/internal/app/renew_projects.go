package app

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// RenewProjects has the log keep every project that was not deleted: its last event is
// the project, and the log forgets by age.
func (a *App) RenewProjects(ctx context.Context) error {
	for after := ""; ; {
		projects, err := a.View.List(ctx, nil, after, contract.MaxPage)
		if err != nil {
			return fmt.Errorf("list projects: %w", err)
		}
		for _, project := range projects {
			if _, err := a.Projects.RenewProject(ctx, project, contract.RenewAfter); err != nil {
				return err
			}
			after = project.Slug
		}
		if len(projects) < contract.MaxPage {
			return nil
		}
	}
}
