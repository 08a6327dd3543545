// Package app holds the use cases of the provisioner: it makes projects and
// removes them.
//
// The rule to know: every step may be repeated. A command that comes again is
// taken over as the next attempt, which runs all steps from the first and finds
// done what an earlier attempt did.
package app

import (
	"context"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Operations is the log of operations, and the log is the truth.
type Operations interface {
	// Load reads the operation as it is now, or contract.ErrNotFound.
	Load(ctx context.Context, id string) (contract.Operation, error)
	// Update loads the operation, appends the event that decide makes of it and
	// returns the operation after it; a nil change leaves it as it is. Where
	// another writer was first it loads and asks again, so decide must have no
	// effects of its own.
	Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error)
	// Signal tells whoever runs the operation to look at it at once. It is
	// speed only; the event is the guarantee.
	Signal(id string) error
}

// Projects is the log of projects.
type Projects interface {
	// UpdateProject is Update for a project; decide gets nil where there is none
	// and returns an empty event type to leave it as it is.
	UpdateProject(ctx context.Context, slug string, decide func(*contract.Project) (eventType string, proposed contract.Project, err error)) (contract.Project, error)
	// RenewProject appends the last event of a project again, where that is older than
	// old and the log may forget it; known is the project where it has.
	RenewProject(ctx context.Context, known contract.Project, old time.Duration) (renewed bool, err error)
}

// OpenOperations knows which operations of a project have not ended.
type OpenOperations interface {
	// Open lists the pending and running operations of a project as the log had
	// them at the sequence minSeq or later.
	Open(ctx context.Context, project string, minSeq uint64) ([]contract.Operation, error)
}

// Workspaces keeps the directories that commands run in.
type Workspaces interface {
	// Create makes the workspace of a project, or finds the one that is there, and
	// returns when it can be used. After an error nothing is left that was not there before.
	Create(ctx context.Context, slug string) (Workspace, error)
	// Remove removes the workspace and all else that is kept of the project,
	// whatever its commands left there. Nothing to remove is fine.
	Remove(ctx context.Context, slug string) error
	// Verify lists what is missing of it, in words.
	Verify(ctx context.Context, slug string) (differences []string, err error)
}

// Workspace is where the files of a project are.
type Workspace struct {
	Path    string // absolute, in the terms of the runtime
	Runtime string // local, kube
}

// Delivery is the command that an operation came with.
type Delivery interface {
	// Renew keeps the command from going to another provisioner.
	Renew(ctx context.Context) error
}

// View is the list of projects, a projection of the log.
type View interface {
	// Position is the sequence of the last event that the view holds.
	Position(ctx context.Context) (uint64, error)
	// List returns up to limit projects that are not deleted, sorted by slug,
	// from the first after the slug given: those that a pattern of within matches,
	// or all where there is none.
	List(ctx context.Context, within []string, after string, limit int) ([]contract.Project, error)
}

// Log tells how far the log of projects goes.
type Log interface {
	// LastProjectEvent is the sequence of the newest event of any project.
	LastProjectEvent(ctx context.Context) (uint64, error)
}
