package app

import (
	"context"
	"encoding/json"
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
	snapshots := snapshotsOf(events)
	var folded Folded
	err = a.View.Append(ctx, after, events, ids(snapshots), func(now map[string]contract.Operation) Folded {
		folded = fold(now, events, snapshots)
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
func fold(now map[string]contract.Operation, events []Event, snapshots []*contract.Operation) Folded {
	legal := make([]bool, len(events))
	last := make(map[string]int, len(events)) // index of the last legal event of each operation
	for i, e := range events {
		if e.Entity != contract.EntityOperation {
			legal[i] = true
			continue
		}
		snapshot := snapshots[i]
		if snapshot == nil {
			continue
		}
		var prev *contract.Operation
		if at, ok := last[e.Key]; ok {
			prev = snapshots[at]
		} else if stored, ok := now[e.Key]; ok {
			prev = &stored
		}
		if _, err := contract.Fold(prev, e.Type, *snapshot); err == nil {
			legal[i], last[e.Key] = true, i
		}
	}
	changed := make([]Changed, 0, len(last))
	for i, e := range events {
		if at, ok := last[e.Key]; ok && at == i {
			changed = append(changed, Changed{Operation: *snapshots[i], Event: i})
		}
	}
	return Folded{Legal: legal, Changed: changed}
}

// Decode reads the snapshot of an operation out of the event's data: none where
// there is none that makes sense. It is most of the work of a projection that
// needs no database, and can be done ahead; ProjectEvents does it where it was not.
func (e *Event) Decode() {
	if e.decoded {
		return
	}
	e.decoded = true
	if e.Entity != contract.EntityOperation || !validID(e.Key) {
		return
	}
	var op contract.Operation
	if err := json.Unmarshal(e.Data, &op); err != nil || op.ID != e.Key {
		return
	}
	op.Seq = e.Seq
	e.snapshot = &op
}

func snapshotsOf(events []Event) []*contract.Operation {
	snapshots := make([]*contract.Operation, len(events))
	for i := range events {
		events[i].Decode()
		snapshots[i] = events[i].snapshot
	}
	return snapshots
}

func ids(snapshots []*contract.Operation) []string {
	seen := make(map[string]struct{}, len(snapshots))
	var all []string
	for _, s := range snapshots {
		if s == nil {
			continue
		}
		if _, ok := seen[s.ID]; !ok {
			seen[s.ID] = struct{}{}
			all = append(all, s.ID)
		}
	}
	return all
}

// validID bounds the ids that operations may have. An operation with another id
// cannot be addressed by the API either.
func validID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 128
}
