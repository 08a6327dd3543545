package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// createProject takes the steps of a project, and then has it be there, so that a project
// which is there can be used. Where that fails, or is cancelled, what was made is removed.
//
// A second delivery goes on with the steps where the log has them, and finds the project
// if it was made: one that this very operation made is no conflict.
func (a *App) createProject(ctx context.Context, op contract.Operation, w *watch) (*contract.Failure, error) {
	project, err := readProject(ctx, a.Projects, op.Project)
	if err != nil {
		return nil, err
	}
	if done, failure := standing(project, op); done || failure != nil && op.Undo == nil {
		return failure, nil
	}
	goal, failure := a.goalOf(op, nil)
	if failure != nil {
		return failure, nil
	}
	s := a.saga(op, w, goal)
	if failure, err := s.run(ctx); failure != nil || err != nil {
		return a.abandoned(ctx, s, failure, err)
	}
	if err := w.next(ctx); errors.Is(err, errCancelled) {
		failure, err := s.abandon(ctx, cancelledBy())
		return a.abandoned(ctx, s, failure, err)
	} else if err != nil {
		return nil, err
	}
	workspace := s.external(contract.ResourceWorkspace)
	_, err = a.Projects.UpdateProject(ctx, op.Project, func(now *contract.Project) (string, contract.Project, error) {
		var done bool
		if done, failure = standing(now, op); done || failure != nil {
			return "", contract.Project{}, nil
		}
		at := time.Now().UTC()
		return contract.TypeProjectCreated, contract.Project{
			Slug: op.Project, Template: goal.target.Template, Workspace: workspace[workspacePath], Runtime: workspace[workspaceRuntime],
			CreatedAt: at, UpdatedAt: at, Operation: op.ID, Spec: &goal.target, Resources: s.resources(),
		}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("create project %s: %w", op.Project, err)
	}
	if failure != nil {
		return s.abandon(ctx, failure)
	}
	return nil, nil
}

// abandoned notes what could not be removed of a project that was not made: as a project
// that is being deleted, so that another delete removes it.
func (a *App) abandoned(ctx context.Context, s *saga, failure *contract.Failure, err error) (*contract.Failure, error) {
	if failure == nil || len(s.left()) == 0 {
		return failure, err
	}
	_, err = a.Projects.UpdateProject(ctx, s.op.Project, func(now *contract.Project) (string, contract.Project, error) {
		if done, standing := standing(now, s.op); done || standing != nil {
			return "", contract.Project{}, nil
		}
		at := time.Now().UTC()
		return contract.TypeProjectAbandoned, contract.Project{
			Slug: s.op.Project, Template: s.goal.target.Template, CreatedAt: at, UpdatedAt: at, Operation: s.op.ID,
			Spec: &s.goal.target, Resources: s.leftovers(),
		}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("note what is left of project %s: %w", s.op.Project, err)
	}
	failure.Message += fmt.Sprintf("; once that can be mended, `rdev projects repair %s` removes it", s.op.Project)
	return failure, nil
}

// standing tells whether the operation has made the project already, or why it
// cannot.
func standing(project *contract.Project, op contract.Operation) (done bool, _ *contract.Failure) {
	switch {
	case project == nil || project.State == contract.ProjectDeleted:
		return false, nil
	case project.Operation == op.ID && project.State == contract.ProjectReady:
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
