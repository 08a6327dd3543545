package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// changeProject takes a project to what it is to have: first all that is new is made, then
// the project is to have it, and then all that it is not to have any more is removed.
// Where something new cannot be made, what was made is removed, and the project stays as it
// was. What cannot be removed stays the project's, and a repair removes it.
//
// A repair is the change of a project to what it is to have already.
func (a *App) changeProject(ctx context.Context, op contract.Operation, w *watch) (*contract.Failure, error) {
	project, err := readProject(ctx, a.Projects, op.Project)
	if err != nil {
		return nil, err
	}
	if failure := changeable(project, op); failure != nil {
		return failure, nil
	}
	goal, failure := a.goalOf(op, project)
	if failure != nil {
		return failure, nil
	}
	s := a.saga(op, w, goal)
	failure, err = s.run(ctx)
	switch {
	case errors.Is(err, errCancelled), err == nil && failure != nil:
		if err := s.keep(ctx, goal.before); err != nil {
			return nil, err
		}
		return failure, err
	case err != nil:
		return nil, err
	}
	if err := s.keep(ctx, goal.target); err != nil {
		return nil, err
	}
	if failure, err = s.remove(ctx); err != nil {
		return nil, err
	}
	return failure, s.keep(ctx, goal.target)
}

// changeable says why a project cannot be changed.
func changeable(project *contract.Project, op contract.Operation) *contract.Failure {
	switch {
	case project == nil || project.State == contract.ProjectDeleted:
		return contract.NewFailure(contract.ClassUser, "there is no project %s", op.Project)
	case project.State != contract.ProjectReady:
		return contract.NewFailure(contract.ClassUser, "project %s is %s", op.Project, project.State)
	}
	return nil
}

// keep has the project know what it is to have, and what it has by now.
func (s *saga) keep(ctx context.Context, spec contract.ProjectSpec) error {
	_, err := s.Projects.UpdateProject(ctx, s.op.Project, func(now *contract.Project) (string, contract.Project, error) {
		if now == nil || now.State != contract.ProjectReady {
			return "", contract.Project{}, fmt.Errorf("project %s is no longer ready: %w", s.op.Project, contract.ErrFenced)
		}
		next := changed(*now, s.op)
		next.Spec, next.Resources = &spec, s.resources()
		return contract.TypeProjectChanged, next, nil
	})
	if err != nil {
		return fmt.Errorf("change project %s: %w", s.op.Project, err)
	}
	return nil
}

// repairProject makes again what a project is to have and has not, and removes what it is
// not to have. Of one that is being deleted, or could not be made, it removes the rest.
func (a *App) repairProject(ctx context.Context, op contract.Operation, w *watch) (*contract.Failure, error) {
	project, err := readProject(ctx, a.Projects, op.Project)
	switch {
	case err != nil:
		return nil, err
	case project != nil && (project.State == contract.ProjectDeleting || project.State == contract.ProjectDeleted && project.Operation == op.ID):
		return a.deleteProject(ctx, op, w)
	}
	return a.changeProject(ctx, op, w)
}
