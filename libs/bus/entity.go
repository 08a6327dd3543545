package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// entity is how the log keeps things of one kind whose state is their last
// event, T being that state.
type entity[T any] struct {
	name string
	// seq is where a T keeps the sequence of its last event.
	seq func(*T) *uint64
	// project is the slug that its events carry.
	project func(T) string
	// next is the T after an event, or an error where it may not follow.
	next func(prev *T, eventType string, proposed T) (T, error)
}

// load reads what the log has now, or contract.ErrNotFound. An answer that is
// lost is asked for again until ctx ends.
func (k entity[T]) load(ctx context.Context, c *Conn, id string) (T, error) {
	var state T
	for {
		e, err := c.last(ctx, contract.StreamEvents, contract.EventFilter(k.name, id))
		if err == nil {
			if err := json.Unmarshal(e.Data, &state); err != nil {
				return state, fmt.Errorf("%s %s at %d: %w", k.name, id, e.Seq, err)
			}
			*k.seq(&state) = e.Seq
			return state, nil
		}
		if errors.Is(err, contract.ErrNotFound) || wait(ctx, 50*time.Millisecond) != nil {
			return state, fmt.Errorf("%s %s: %w", k.name, id, err)
		}
	}
}

// renew appends the last event again, or what is known where the log has forgotten
// that, if it is older than old. Where another writer is first, that
// has renewed it.
func (k entity[T]) renew(ctx context.Context, c *Conn, id, eventType string, known T, old time.Duration) (renewed bool, err error) {
	var prev *T
	var after uint64
	e, err := c.last(ctx, contract.StreamEvents, contract.EventFilter(k.name, id))
	switch {
	case err == nil && time.Since(e.Time) < old:
		return false, nil
	case err == nil:
		var now T
		if err := json.Unmarshal(e.Data, &now); err != nil {
			return false, fmt.Errorf("%s %s at %d: %w", k.name, id, e.Seq, err)
		}
		prev, after, known = &now, e.Seq, now
	case !errors.Is(err, contract.ErrNotFound):
		return false, fmt.Errorf("renew %s %s: %w", k.name, id, err)
	}
	next, err := k.next(prev, eventType, known)
	if err != nil {
		return false, fmt.Errorf("renew %s %s: %w", k.name, id, err)
	}
	_, err = c.append(ctx, draft{
		entity: k.name, eventType: eventType, id: id, project: k.project(next), body: next, after: after,
	})
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// update loads, or has nil where there is nothing, appends the event that decide
// makes of it and returns the state after it; an empty event type leaves it as it
// is. Where another writer was first it loads and asks again.
func (k entity[T]) update(ctx context.Context, c *Conn, id string, decide func(*T) (eventType string, proposed T, err error)) (T, error) {
	for {
		var prev *T
		var after uint64
		now, err := k.load(ctx, c, id)
		switch {
		case err == nil:
			prev, after = &now, *k.seq(&now)
		case !errors.Is(err, contract.ErrNotFound):
			return now, err
		}
		eventType, proposed, err := decide(prev)
		if err != nil || eventType == "" {
			return now, err
		}
		next, err := k.next(prev, eventType, proposed)
		if err != nil {
			return now, err
		}
		*k.seq(&next), err = c.append(ctx, draft{
			entity: k.name, eventType: eventType, id: id,
			project: k.project(next), body: next, after: after,
		})
		if errors.Is(err, ErrConflict) {
			continue
		}
		return next, err
	}
}
