// Package app is what the audit service does: it folds the event log into
// tables, answers questions from them, and ends operations that nobody carries
// out any more.
package app

import (
	"context"
	"errors"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// App holds the use cases and what they stand on.
type App struct {
	View       View
	Operations Operations
	Lanes      Lanes
	Log        EventLog
	// ExpireAfter is how long an operation may stay pending.
	ExpireAfter time.Duration
	// LostAfter is how long an operation may run without a command on its lane.
	LostAfter time.Duration

	missing missing
}

// ErrMoved is returned by View.Append where the view does not end where its
// writer thinks: another process wrote, or the view was emptied.
var ErrMoved = errors.New("the projection has moved")

// ErrGap is returned where an event of the log was not delivered: the batch must
// come again, whole.
var ErrGap = errors.New("the events have a gap")

// View is the tables that the log is folded into.
type View interface {
	// Position is the sequence of the last event that the view holds.
	Position(ctx context.Context) (uint64, error)
	// Append stores a batch of events in one transaction, with the operations
	// that fold makes of those among ids that are there. It fails with ErrMoved
	// where the view's position is not after. fold must have no effects of its own.
	Append(ctx context.Context, after uint64, events []Event, ids []string, fold func(now map[string]contract.Operation) Folded) error
	// Operation is one operation and true, or false where there is none.
	Operation(ctx context.Context, id string) (contract.Operation, bool, error)
	// Newest lists operations by creation, the newest first. more tells that
	// others follow, for it stops at the limit and at a bound of bytes.
	Newest(ctx context.Context, filter Filter) (page []contract.Operation, more bool, err error)
	// History lists the events of an operation after a sequence, in order. more
	// tells that others follow.
	History(ctx context.Context, id string, after uint64) (events []contract.OperationEvent, more bool, err error)
	// Open lists the operations in a state that were created before a time.
	Open(ctx context.Context, state contract.State, before time.Time) ([]contract.Operation, error)
	// Reset empties the view and has its writer begin again, unless it holds
	// events before the sequence first: then it does nothing and returns false.
	Reset(ctx context.Context, first uint64) (bool, error)
}

// Operations is the log of operations, which is the truth.
type Operations interface {
	// Update loads an operation, appends the change that decide makes of it and
	// returns the operation after it; a nil change leaves it as it is. decide is
	// asked again where another writer was first.
	Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error)
}

// Lanes is where commands wait and are worked on.
type Lanes interface {
	// OnLane reads the command that a lane holds, or contract.ErrNotFound.
	OnLane(ctx context.Context, lane contract.Lane) (contract.RunOperation, error)
}

// EventLog is RDEV_EVENTS as a whole.
type EventLog interface {
	// Bounds are the sequences of the first and the last event that the log holds.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// Next is the sequence of the first event that the log holds after another.
	// It fails where there is none.
	Next(ctx context.Context, after uint64) (uint64, error)
}

// Event is one event of the log, of any entity.
type Event struct {
	Seq     uint64
	ID      string // ce-id
	Entity  string
	Type    string
	Key     string // id of the entity
	Project string
	Actor   string
	Time    time.Time
	Data    []byte // the entity's snapshot after it
	Headers Headers
	// Operation is what Data says of the operation Key, with Seq set; nil where
	// the event is of another entity, or says nothing that makes sense.
	Operation *contract.Operation
}

// Headers are the headers of an event that no field of it has.
type Headers struct {
	Source      string `json:"source,omitempty"` // ce-source
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
	// Guard is the sequence that the event had to follow; empty on what was
	// published without a guard.
	Guard string `json:"guard,omitempty"`
}

// Folded is what a batch of events makes of the view.
type Folded struct {
	Legal []bool // for each event
	// Changed are the operations after their last legal event of the batch.
	Changed []contract.Operation
}

// Filter chooses operations; what is empty does not filter.
type Filter struct {
	States  []contract.State
	Within  []string // patterns of projects, any where empty
	Project string
	Kind    string
	Since   time.Time
	Limit   int
	After   Key // the last operation of the page before
}

// Key is an operation's place in the order of creation, to the microsecond.
type Key struct {
	CreatedAt time.Time
	ID        string
}
