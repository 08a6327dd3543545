package app

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// ProjectEvents adds the events after a sequence to the view and tells how many
// of them were illegal. A batch that comes again is refused with ErrMoved: the
// view holds it already.
func (a *App) ProjectEvents(ctx context.Context, after uint64, events []Event) (illegal int, err error) {
	if err := a.complete(ctx, after, events); err != nil {
		return 0, fmt.Errorf("project %d events after %d: %w", len(events), after, err)
	}
	var folded Folded
	err = a.View.Append(ctx, after, events, ids(events), func(now map[string]contract.Operation) Folded {
		folded = fold(now, events)
		return folded
	})
	if err != nil {
		return 0, fmt.Errorf("project %d events after %d: %w", len(events), after, err)
	}
	for _, legal := range folded.Legal {
		if !legal {
			illegal++
		}
	}
	return illegal, nil
}

// complete checks that no event is missing. A delivery can be lost on its way
// while the one after it arrives, and what is acknowledged never comes again, so
// a hole in the sequences must be one that the log has too.
func (a *App) complete(ctx context.Context, after uint64, events []Event) error {
	for _, e := range events {
		if e.Seq != after+1 {
			next, err := a.Log.Next(ctx, after)
			if err != nil {
				return fmt.Errorf("look for events between %d and %d: %w", after, e.Seq, err)
			}
			if next != e.Seq {
				return fmt.Errorf("%w: %d came after %d, and the log holds %d", ErrGap, e.Seq, after, next)
			}
		}
		after = e.Seq
	}
	return nil
}

// fold is contract.Fold over a batch. Events of other entities have no state
// machine here, and are legal.
func fold(now map[string]contract.Operation, events []Event) Folded {
	legal := make([]bool, len(events))
	last := make(map[string]int, len(events)) // index of the last legal event of each operation
	for i, e := range events {
		if e.Entity != contract.EntityOperation {
			legal[i] = true
			continue
		}
		if e.Operation == nil {
			continue
		}
		var prev *contract.Operation
		if at, ok := last[e.Key]; ok {
			prev = events[at].Operation
		} else if stored, ok := now[e.Key]; ok {
			prev = &stored
		}
		if _, err := contract.Fold(prev, e.Type, *e.Operation); err == nil {
			legal[i], last[e.Key] = true, i
		}
	}
	changed := make([]contract.Operation, 0, len(last))
	for i, e := range events {
		if at, ok := last[e.Key]; ok && at == i {
			changed = append(changed, *e.Operation)
		}
	}
	return Folded{Legal: legal, Changed: changed}
}

func ids(events []Event) []string {
	seen := make(map[string]struct{}, len(events))
	var all []string
	for _, e := range events {
		if e.Operation == nil {
			continue
		}
		if _, ok := seen[e.Key]; !ok {
			seen[e.Key] = struct{}{}
			all = append(all, e.Key)
		}
	}
	return all
}
