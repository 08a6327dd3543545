package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// openPatience is how long a delete waits for the list of open operations.
const openPatience = time.Minute

// endPoll is how often a delete looks whether an operation has ended.
const endPoll = 200 * time.Millisecond

// deleteProject closes the project to new commands and credentials, has the open
// commands end, removes its resources and the credentials, and frees the slug.
//
// A second delivery goes on where the project stands. A delete that is
// cancelled or fails on the way leaves the project deleting: another delete
// finishes it.
func (a *App) deleteProject(ctx context.Context, op contract.Operation, w *watch) (*contract.Failure, error) {
	if err := w.next(ctx); err != nil {
		return nil, err
	}
	if failure, err := a.keepable(ctx, op); failure != nil || err != nil {
		return failure, err
	}
	project, failure, err := a.closeProject(ctx, op)
	if err != nil || failure != nil || project.State == contract.ProjectDeleted {
		return failure, err
	}
	if failure, err := a.endOperations(ctx, op, project.Seq, w); err != nil || failure != nil {
		return failure, err
	}
	if err := w.next(ctx); err != nil {
		return nil, err
	}
	goal, failure := a.goalOf(op, &project)
	if failure != nil {
		return failure, nil
	}
	if failure, err := a.removeResources(ctx, op, goal, w); err != nil || failure != nil {
		return failure, err
	}
	// From here on there is nothing left to save by a cancel. Credentials and files go
	// before the slug is free: the next project of that name must not find them.
	if err := a.Credentials.Forget(ctx, op.Project); err != nil {
		return nil, fmt.Errorf("delete project %s: %w", op.Project, err)
	}
	if err := a.forgetFiles(ctx, op.Project); err != nil {
		return nil, fmt.Errorf("delete project %s: %w", op.Project, err)
	}
	_, err = a.Projects.UpdateProject(ctx, op.Project, func(now *contract.Project) (string, contract.Project, error) {
		if now == nil || now.State != contract.ProjectDeleting || now.Operation != op.ID {
			return "", contract.Project{}, nil
		}
		gone := changed(*now, op)
		gone.Resources = nil
		return contract.TypeProjectDeleted, gone, nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete project %s: %w", op.Project, err)
	}
	return nil, nil
}

// keepable says why what is to stay cannot, while the project is as it was.
func (a *App) keepable(ctx context.Context, op contract.Operation) (*contract.Failure, error) {
	project, err := readProject(ctx, a.Projects, op.Project)
	if err != nil || project == nil || project.Operation == op.ID {
		return nil, err
	}
	_, failure := a.goalOf(op, project)
	return failure, nil
}

// closeProject appends project.deleting in the name of the operation. What is to be kept is
// noted with it: whoever finishes the deletion keeps it. The project it returns is deleted
// where an earlier attempt got so far.
func (a *App) closeProject(ctx context.Context, op contract.Operation) (contract.Project, *contract.Failure, error) {
	var failure *contract.Failure
	project, err := a.Projects.UpdateProject(ctx, op.Project, func(now *contract.Project) (string, contract.Project, error) {
		failure = nil
		switch {
		case now != nil && now.Operation == op.ID && now.State != contract.ProjectReady:
			return "", contract.Project{}, nil
		case now == nil || now.State == contract.ProjectDeleted:
			failure = contract.NewFailure(contract.ClassUser, "there is no project %s", op.Project)
			return "", contract.Project{}, nil
		}
		next := changed(*now, op)
		next.Resources = slices.Clone(next.Resources)
		for i, r := range next.Resources {
			if op.Change != nil && slices.Contains(op.Change.Keep, r.Name) {
				next.Resources[i].Action = contract.ProvisionKeep
			}
		}
		return contract.TypeProjectDeleting, next, nil
	})
	if err != nil {
		return project, nil, fmt.Errorf("close project %s: %w", op.Project, err)
	}
	return project, failure, nil
}

// removeResources removes all that a project has, but for what is to stay, and notes of each
// what became of it.
func (a *App) removeResources(ctx context.Context, op contract.Operation, g goal, w *watch) (*contract.Failure, error) {
	s := a.saga(op, w, g)
	if s.now == nil {
		if failure, err := s.plan(ctx); failure != nil || err != nil {
			return failure, err
		}
	}
	for i, step := range s.now { // of an attempt of a version before
		if step.Action == contract.ProvisionCreate && step.State == contract.ProvisionApplied {
			s.now[i].Action, s.now[i].State = contract.ProvisionRemove, contract.ProvisionPlanned
		}
	}
	return s.remove(ctx)
}

func changed(project contract.Project, op contract.Operation) contract.Project {
	project.Operation, project.UpdatedAt = op.ID, time.Now().UTC()
	return project
}

// endOperations cancels what is open in the project and waits until it has
// ended. What waits on the operation's own lane comes after it and decides for
// itself.
func (a *App) endOperations(ctx context.Context, op contract.Operation, seq uint64, w *watch) (*contract.Failure, error) {
	begin := time.Now()
	for {
		if err := w.next(ctx); err != nil {
			return nil, err
		}
		open, err := a.Open.Open(ctx, op.Project, seq)
		if err != nil {
			if time.Since(begin) > openPatience {
				return contract.NewFailure(contract.ClassInfrastructure, "nobody tells which operations of %s are open: %v", op.Project, err), nil
			}
			if err := w.pause(ctx, endPoll); err != nil {
				return nil, err
			}
			continue
		}
		last := seq
		for _, other := range open {
			if other.ID == op.ID || other.Lane == op.Lane {
				continue
			}
			ended, err := a.endOperation(ctx, other.ID, w)
			if err != nil {
				return nil, err
			}
			last = max(last, ended.Seq)
		}
		if last == seq {
			return nil, nil
		}
		// A command may have slipped in just before the project was closed: ask
		// again, for a list that knows of these ends.
		seq, begin = last, time.Now()
	}
}

// endOperation cancels an operation and waits until it has ended. One that is
// older than the log has: nobody runs it any more.
func (a *App) endOperation(ctx context.Context, id string, w *watch) (contract.Operation, error) {
	other, err := a.Operations.Update(ctx, id, func(other contract.Operation) (contract.Change, error) {
		switch {
		case other.State == contract.Pending:
			return contract.OperationCancelled{At: time.Now().UTC()}, nil
		case other.State == contract.Running && !other.CancelRequested:
			return contract.OperationCancelRequested{}, nil
		}
		return nil, nil
	})
	if err == nil && !other.State.Ended() {
		err = a.Operations.Signal(id)
	}
	for err == nil && !other.State.Ended() {
		if err := w.pause(ctx, endPoll); err != nil {
			return other, err
		}
		other, err = a.Operations.Load(ctx, id)
	}
	if err != nil && !errors.Is(err, contract.ErrNotFound) {
		return other, fmt.Errorf("end %s: %w", id, err)
	}
	return other, nil
}
