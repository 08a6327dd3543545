package app

import (
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Fold is what the log of operations comes down to: those that are not over. It
// tells its readers of every event that was legal, in order. It is for one goroutine.
type Fold struct {
	readers []Reader
	open    map[string]contract.Operation // see essence
}

// Reader learns from the log what it has to do. The operations that it is told of
// are their essence, and shared: they are not to be changed.
type Reader interface {
	// Apply takes an event: what an operation was before it, nil for a new one, and
	// what it is after it.
	Apply(at time.Time, prev *contract.Operation, now contract.Operation)
	// Live says that the log was read to its end: from here on what is due is done.
	Live()
}

// NewFold is the fold of an empty log.
func NewFold(readers ...Reader) *Fold {
	return &Fold{readers: readers, open: map[string]contract.Operation{}}
}

// Apply takes the next event of the log. One that may not follow is ignored, as
// every reader of the log does.
func (f *Fold) Apply(eventType string, at time.Time, snapshot contract.Operation) {
	var prev *contract.Operation
	if known, ok := f.open[snapshot.ID]; ok {
		prev = &known
	}
	op, err := contract.Fold(prev, eventType, snapshot)
	if err != nil {
		return
	}
	op = essence(op)
	if op.State.Ended() {
		delete(f.open, op.ID)
	} else {
		f.open[op.ID] = op
	}
	for _, reader := range f.readers {
		reader.Apply(at, prev, op)
	}
}

// Live tells the readers that the log was read to its end.
func (f *Fold) Live() {
	for _, reader := range f.readers {
		reader.Live()
	}
}

// essence is what has to be known of an operation to tell what may follow and what
// is due: not its command, which may be large.
func essence(op contract.Operation) contract.Operation {
	slim := contract.Operation{
		ID: op.ID, Kind: op.Kind, Project: op.Project, Key: op.Key, Actor: op.Actor, Lane: op.Lane,
		State: op.State, Rev: op.Rev, Attempt: op.Attempt, CancelRequested: op.CancelRequested,
		Held: op.Held, Approvals: op.Approvals,
	}
	if op.Work != nil {
		slim.Work = &contract.Work{Priority: op.Work.Priority, RunAt: op.Work.RunAt, UniqueKey: op.Work.UniqueKey, Turn: op.Work.Turn, Step: op.Work.Step}
	}
	if op.Build != nil {
		slim.StartedAt = op.StartedAt
		slim.Build = &contract.Build{Timeout: op.Build.Timeout}
	}
	if op.Result != nil && op.Result.Usage != nil {
		slim.Result = &contract.Result{Usage: op.Result.Usage}
	}
	return slim
}
