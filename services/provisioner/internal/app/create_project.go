package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// createProject takes the steps of a project, and then has it be there, so that a project
// which is there can be used.
//
// A second delivery goes on with the steps where the log has them, and finds the project
// if it was made: one that this very operation made is no conflict.
func (a *App) createProject(ctx context.Context, op contract.Operation, w *watch) (*contract.Failure, error) {
	template := domain.DefaultTemplate
	if op.Spec != nil && op.Spec.Template != "" {
		template = op.Spec.Template
	}
	if !domain.KnownTemplate(template) {
		return contract.NewFailure(contract.ClassUser, "no such template: %q", template), nil
	}
	before, err := readProject(ctx, a.Projects, op.Project)
	if err != nil {
		return nil, err
	}
	if done, failure := standing(before, op); done || failure != nil {
		return failure, nil
	}
	steps := a.saga(op, w)
	if failure, err := steps.run(ctx); failure != nil || err != nil {
		return failure, err
	}
	if err := w.next(ctx); errors.Is(err, errCancelled) {
		return steps.abandon(ctx, cancelledBy())
	} else if err != nil {
		return nil, err
	}
	workspace := steps.external(WorkspaceStep{}.Name())
	var failure *contract.Failure
	_, err = a.Projects.UpdateProject(ctx, op.Project, func(now *contract.Project) (string, contract.Project, error) {
		var done bool
		if done, failure = standing(now, op); done || failure != nil {
			return "", contract.Project{}, nil
		}
		at := time.Now().UTC()
		return contract.TypeProjectCreated, contract.Project{
			Slug: op.Project, Template: template, Workspace: workspace[workspacePath], Runtime: workspace[workspaceRuntime],
			CreatedAt: at, UpdatedAt: at, Operation: op.ID, Resources: steps.resources(),
		}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("create project %s: %w", op.Project, err)
	}
	if failure != nil {
		return steps.abandon(ctx, failure)
	}
	return nil, nil
}

// standing tells whether the operation has made the project already, or why it
// cannot.
func standing(project *contract.Project, op contract.Operation) (done bool, _ *contract.Failure) {
	switch {
	case project == nil || project.State == contract.ProjectDeleted:
		return false, nil
	case project.Operation == op.ID:
		return true, nil
	case project.State == contract.ProjectDeleting:
		return false, contract.NewFailure(contract.ClassUser, "project %s is being deleted", op.Project)
	}
	return false, contract.NewFailure(contract.ClassUser, "project %s exists already", op.Project)
}

// readProject reads a project as the log has it, nil where there is none.
func readProject(ctx context.Context, projects Projects, slug string) (*contract.Project, error) {
	var project *contract.Project
	_, err := projects.UpdateProject(ctx, slug, func(now *contract.Project) (string, contract.Project, error) {
		project = now
		return "", contract.Project{}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read project %s: %w", slug, err)
	}
	return project, nil
}
