package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/v1"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// Load reads an operation as the log has it now, or contract.ErrNotFound. What it
// points to may be shared, and is only for reading. An answer that is lost is
// asked for again until ctx ends.
func (c *Conn) Load(ctx context.Context, id string) (contract.Operation, error) {
	for {
		found, err := c.loads.do(ctx, id, func(ctx context.Context) (loaded, error) { return c.load(ctx, id) })
		if err == nil {
			return found.op, found.err
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return contract.Operation{}, fmt.Errorf("operation %s: %w", id, err)
		}
	}
}

// loaded is an answer of the log: an operation, or why there is none.
type loaded struct {
	op  contract.Operation
	err error
}

// load fails where there was no answer.
func (c *Conn) load(ctx context.Context, id string) (loaded, error) {
	e, err := c.last(ctx, contract.StreamEvents, contract.EventFilter(contract.EntityOperation, id))
	if err != nil {
		return answered(contract.Operation{}, id, err)
	}
	if guarded(e, id) {
		var found loaded
		event, err := eventOf(e.Subject, e.Seq, e.Time, e.Header, e.Data)
		if err == nil {
			found.op, err = event.Operation()
		}
		found.err = err
		return found, nil
	}
	// Somebody published it by hand. Every reader folds, and so sees the same.
	op, err := c.fold(ctx, id)
	op.Seq = e.Seq
	return answered(op, id, err)
}

func answered(op contract.Operation, id string, err error) (loaded, error) {
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return loaded{err: fmt.Errorf("operation %s: %w", id, contract.ErrNotFound)}, nil
	case err != nil:
		return loaded{}, err
	}
	return loaded{op: op}, nil
}

// guarded tells whether an event was appended by this package, which lets
// nothing illegal pass.
func guarded(e entry, id string) bool {
	return e.Header.Get(jetstream.ExpectedLastSubjSeqSubjHeader) == contract.EventFilter(contract.EntityOperation, id)
}

func (c *Conn) fold(ctx context.Context, id string) (contract.Operation, error) {
	events, err := c.History(ctx, contract.EntityOperation, id, 0)
	if err != nil {
		return contract.Operation{}, err
	}
	var folded Fold
	for _, event := range events {
		folded.Add(event)
	}
	if folded.Operation == nil {
		return contract.Operation{}, contract.ErrNotFound
	}
	return *folded.Operation, nil
}

// Fold is what the events of an operation that were added so far, in order, have
// made of it.
type Fold struct {
	// Operation is nil until an event was legal.
	Operation *contract.Operation
}

// Add takes the next event. snapshot is what it carries, nil where that is
// nonsense. legal is false where it could not follow the events before: somebody
// published it past the guard, and every reader ignores it.
func (f *Fold) Add(e Event) (snapshot *contract.Operation, legal bool) {
	op, err := e.Operation()
	if err != nil {
		return nil, false
	}
	if _, err := contract.Fold(f.Operation, e.Type, op); err != nil {
		return &op, false
	}
	f.Operation = &op
	return &op, true
}

// Append stores a change of an operation: prev is nil for a new one, else as it
// was loaded. It returns the operation after the change, ErrConflict where it
// is not as prev says any more, or the error of contract.Next.
func (c *Conn) Append(ctx context.Context, prev *contract.Operation, change contract.Change) (contract.Operation, error) {
	next, err := contract.Next(prev, change)
	if err != nil {
		return contract.Operation{}, err
	}
	var after uint64
	if prev != nil {
		after = prev.Seq
	}
	next.Seq, err = c.append(ctx, draftOf(change, next, after))
	return next, err
}

// draftOf is the event of a change that makes an operation what it is next.
func draftOf(change contract.Change, next contract.Operation, after uint64) draft {
	return draft{
		entity: contract.EntityOperation, eventType: change.Type(), id: next.ID,
		project: next.Project, traceparent: next.Traceparent, body: next, after: after,
	}
}

// Update appends the change that decide makes of an operation as it is now, and returns
// the operation after it; a nil change leaves it as it is. Where another writer was
// first it asks again, so decide must have no effects of its own.
func (c *Conn) Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	if seen, ok := c.glanceAt(ctx, id); ok {
		return c.Amend(ctx, seen, decide)
	}
	return c.update(ctx, id, decide)
}

// Amend is Update for who knows the operation as it was a moment ago, and so need not
// read it. It may be behind the log, which only the guard can tell: what decide makes
// of it counts only where that is stored.
func (c *Conn) Amend(ctx context.Context, known contract.Operation, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	if change, err := decide(known); err == nil && change != nil {
		next, err := c.Append(ctx, &known, change)
		if !errors.Is(err, ErrConflict) && !errors.Is(err, contract.ErrIllegal) {
			return next, err
		}
	}
	return c.update(ctx, known.ID, decide)
}

func (c *Conn) update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	for {
		op, err := c.Load(ctx, id)
		if err != nil {
			return op, err
		}
		change, err := decide(op)
		if err != nil || change == nil {
			return op, err
		}
		next, err := c.Append(ctx, &op, change)
		if errors.Is(err, ErrConflict) {
			continue
		}
		return next, err
	}
}

// Event is one event of the log.
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
	Header  nats.Header
}

// errNoEvent is returned for a message that is no event of the contract.
var errNoEvent = errors.New("not an event")

func eventOf(subject string, seq uint64, stored time.Time, h nats.Header, data []byte) (Event, error) {
	entity, eventType, id, ok := contract.ParseEventSubject(subject)
	if !ok {
		return Event{}, fmt.Errorf("%s at %d: %w", subject, seq, errNoEvent)
	}
	e := Event{
		Seq: seq, ID: h.Get(contract.HeaderEventID), Entity: entity, Type: eventType, Key: id,
		Project: h.Get(contract.HeaderProject), Actor: h.Get(contract.HeaderActor),
		Time: stored, Data: data, Header: h,
	}
	// Header.Get wants the name as it was written; ce-time is absent on what an
	// administrator published by hand, which the stream's own time stands in for.
	if at, err := time.Parse(time.RFC3339Nano, h.Get(contract.HeaderTime)); err == nil {
		e.Time = at
	}
	return e, nil
}

// Operation decodes the snapshot that an event of an operation carries. It is an
// error where the event is of another entity, or carries another operation.
func (e Event) Operation() (contract.Operation, error) {
	var op contract.Operation
	if e.Entity != contract.EntityOperation {
		return op, fmt.Errorf("event %d is of a %s, not of an operation", e.Seq, e.Entity)
	}
	// The decoder that the standard library is about to have: the same rules, in
	// half the time.
	if err := json.Unmarshal(e.Data, &op); err != nil {
		return op, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	if op.ID != e.Key {
		return op, fmt.Errorf("event %d of operation %q carries operation %q", e.Seq, e.Key, op.ID)
	}
	op.Seq = e.Seq
	return op, nil
}

// History reads the events of one entity in order, up to and including the
// sequence upTo, or all where it is 0.
func (c *Conn) History(ctx context.Context, entity, id string, upTo uint64) ([]Event, error) {
	filter := contract.EventFilter(entity, id)
	var events []Event
	var seq uint64
	for {
		e, err := c.successor(ctx, contract.StreamEvents, filter, seq)
		if errors.Is(err, contract.ErrNotFound) || err == nil && upTo > 0 && e.Seq > upTo {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("history of %s %s: %w", entity, id, err)
		}
		event, err := eventOf(e.Subject, e.Seq, e.Time, e.Header, e.Data)
		if err != nil {
			return nil, err
		}
		events, seq = append(events, event), e.Seq
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("%s %s: %w", entity, id, contract.ErrNotFound)
	}
	return events, nil
}
