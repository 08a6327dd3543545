// Package app is what the gateway does: it accepts requests as operations,
// offers them to whoever carries them out, and tells what became of them.
package app

import (
	"context"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Operations is the log of operations, and the log is the truth.
type Operations interface {
	// Load reads the operation as it is now, or contract.ErrNotFound.
	Load(ctx context.Context, id string) (contract.Operation, error)
	// Create appends the first event of an operation, or returns ErrExists.
	Create(ctx context.Context, op contract.Operation) (contract.Operation, error)
	// CreateAll is Create for many, in their order. Each has an outcome of its own.
	CreateAll(ctx context.Context, operations []contract.Operation) ([]contract.Operation, []error)
	// Update loads the operation, appends the event that decide makes of it and
	// returns the operation after it; a nil change leaves it as it is.
	Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error)
	// Signal tells the operation's executor to look at it now.
	Signal(id string) error
}

// Projects tells where commands may run.
type Projects interface {
	// Project reads a project as it is now, or contract.ErrNotFound.
	Project(ctx context.Context, slug string) (contract.Project, error)
	// ProjectWasReady tells whether a project was ready a moment ago, which costs less.
	// Where it says no, only Project can tell.
	ProjectWasReady(ctx context.Context, slug string) bool
}

// Turns tells which work of a project was the last under a unique key, as far as this
// gateway has read the log.
type Turns interface {
	// LastTurn is its turn, 0 where there was none.
	LastTurn(project, key string) int
}

// Workers is the log of workers.
type Workers interface {
	// UpdateWorker loads a worker, or nil where there is none, appends the event that
	// decide makes of it and returns the worker after it; an empty event type leaves it
	// as it is.
	UpdateWorker(ctx context.Context, id string, decide func(*contract.Worker) (eventType string, proposed contract.Worker, err error)) (contract.Worker, error)
}

// Lanes hold one command each.
type Lanes interface {
	// Offer puts a command on its lane, or returns ErrLaneTaken.
	Offer(ctx context.Context, lane contract.Lane, cmd contract.RunOperation) error
}

// KeyLog is the log of API keys.
type KeyLog interface {
	// UpdateKey loads a key, or nil where there is none, appends the event that decide
	// makes of it and returns the key after it; an empty event type leaves it as it is.
	UpdateKey(ctx context.Context, id string, decide func(*contract.Key) (eventType string, proposed contract.Key, err error)) (contract.Key, error)
}

// KeyUses is when keys were used last, as all gateways know it.
type KeyUses interface {
	LastUsed(ctx context.Context, ids []string) (map[string]time.Time, error)
}

// Pools are what all gateways share of the budgets that limit requests.
type Pools interface {
	// UpdatePool changes a pool; one that is not there is the zero Pool. change may be
	// called several times: where another gateway was first it is asked again.
	UpdatePool(ctx context.Context, name string, change func(domain.Pool) domain.Pool) error
}
