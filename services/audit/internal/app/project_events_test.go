package app_test

import (
	"context"
	"errors"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// store is a view that takes everything.
type store struct {
	app.View
	stored []uint64
}

func (s *store) Append(_ context.Context, _ uint64, events []app.Event, _ []string, fold func(map[string]contract.Operation) app.Folded) error {
	fold(nil)
	for _, e := range events {
		s.stored = append(s.stored, e.Seq)
	}
	return nil
}

// holes is a log that holds a few sequences.
type holes struct {
	app.EventLog
	seqs []uint64
}

func (h holes) Next(_ context.Context, after uint64) (uint64, error) {
	for _, seq := range h.seqs {
		if seq > after {
			return seq, nil
		}
	}
	return 0, errors.New("none")
}

func TestABatchWithAHoleThatTheLogDoesNotHaveIsRefused(t *testing.T) {
	log := holes{seqs: []uint64{4, 5, 9, 10}}
	for name, c := range map[string]struct {
		after uint64
		seqs  []uint64
		whole bool
	}{
		"all of it":              {0, []uint64{4, 5, 9, 10}, true},
		"the end":                {5, []uint64{9, 10}, true},
		"the first is lost":      {0, []uint64{5, 9}, false},
		"one in between is lost": {0, []uint64{4, 9, 10}, false},
		"one behind a hole":      {5, []uint64{10}, false},
	} {
		t.Run(name, func(t *testing.T) {
			view := &store{}
			events := make([]app.Event, len(c.seqs))
			for i, seq := range c.seqs {
				events[i] = app.Event{Seq: seq, Entity: contract.EntityProject}
			}
			_, err := (&app.App{View: view, Log: log}).ProjectEvents(t.Context(), c.after, events)
			if c.whole && (err != nil || len(view.stored) != len(c.seqs)) {
				t.Errorf("stored %v, %v, want %v", view.stored, err, c.seqs)
			}
			if !c.whole && (!errors.Is(err, app.ErrGap) || len(view.stored) > 0) {
				t.Errorf("stored %v, %v, want ErrGap", view.stored, err)
			}
		})
	}
}
