package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// App carries out the commands of the provisioner.
type App struct {
	Operations Operations
	Projects   Projects
	Open       OpenOperations
	Steps      []Step   // that a project may be made in
	Families   []Family // of those that there are many of
	// Domain is what the hosts of projects are below, "" where there is none, and CheckHost
	// says what is wrong with a host, "" where nothing is.
	Domain      string
	CheckHost   func(host string) string
	Credentials ProjectCredentials
	Files       Files
	Pipelines   Pipelines // nil where the installation has no CI
	View        View
	Log         Log
	Lease       contract.Lease
	Instance    string // names this process in the operations that it runs
}

// errCancelled ends a use case between two steps.
var errCancelled = errors.New("a cancel was requested")

// Handle carries an operation out and writes how it ended.
//
// A second delivery of an operation that has ended does nothing; of one that
// runs, it takes over as the next attempt: whoever had it is not heard of any
// more, and is shut out by the attempt's number.
func (a *App) Handle(ctx context.Context, id string, delivery Delivery) error {
	op, err := a.Operations.Update(ctx, id, func(op contract.Operation) (contract.Change, error) {
		if op.State.Ended() {
			return nil, nil
		}
		return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: a.Instance, At: time.Now().UTC()}, nil
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", id, err)
	}
	if op.State.Ended() {
		return nil
	}
	ctx, w := a.watch(ctx, op, delivery)
	defer w.stop()
	failure, err := a.carryOut(ctx, op, w)
	if ctx.Err() != nil {
		return fmt.Errorf("%s attempt %d: %w", id, op.Attempt, context.Cause(ctx))
	}
	now := time.Now().UTC()
	var end contract.Change
	switch {
	case errors.Is(err, errCancelled):
		end = contract.OperationCancelled{Attempt: op.Attempt, At: now}
	case err != nil:
		return fmt.Errorf("%s attempt %d: %w", id, op.Attempt, err)
	case failure != nil:
		end = contract.OperationFailed{Attempt: op.Attempt, Failure: failure, At: now}
	default:
		end = contract.OperationCompleted{Attempt: op.Attempt, At: now}
	}
	if err := a.end(ctx, op, end); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return err
	}
	return nil
}

// carryOut returns why the operation failed, or an error that leaves it open:
// the command then comes again.
func (a *App) carryOut(ctx context.Context, op contract.Operation, w *watch) (*contract.Failure, error) {
	if failure := refuse(op); failure != nil {
		return failure, nil
	}
	switch op.Kind {
	case contract.KindProjectCreate:
		return a.createProject(ctx, op, w)
	case contract.KindProjectChange:
		return a.changeProject(ctx, op, w)
	case contract.KindProjectRepair:
		return a.repairProject(ctx, op, w)
	}
	return a.deleteProject(ctx, op, w)
}

// refuse checks what the gateway checks too: the log has other writers.
func refuse(op contract.Operation) *contract.Failure {
	switch {
	case !slices.Contains(contract.ProjectKinds(), op.Kind):
		return contract.NewFailure(contract.ClassUser, "the provisioner has no %s", op.Kind)
	case !domain.ValidSlug(op.Project):
		return contract.NewFailure(contract.ClassUser, "%q is not the slug of a project: %s", op.Project, domain.SlugRule)
	case op.Spec != nil && op.Spec.Slug != op.Project:
		return contract.NewFailure(contract.ClassUser, "an operation of project %s is about %q", op.Project, op.Spec.Slug)
	}
	return nil
}

// end writes the terminal event. Where the operation has ended meanwhile, by an
// administrator perhaps, that stands.
func (a *App) end(ctx context.Context, op contract.Operation, change contract.Change) error {
	_, err := a.Operations.Update(ctx, op.ID, func(now contract.Operation) (contract.Change, error) {
		switch {
		case now.Attempt != op.Attempt:
			return nil, fmt.Errorf("attempt %d where %d runs: %w", op.Attempt, now.Attempt, contract.ErrFenced)
		case now.State.Ended():
			return nil, nil
		}
		return change, nil
	})
	if err != nil {
		return fmt.Errorf("end %s as %s: %w", op.ID, change.Type(), err)
	}
	return nil
}
