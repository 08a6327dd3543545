package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

func TestPagesHoldEachMatchOnceInOrderOfCreation(t *testing.T) {
	h := newHistory(t, 1)
	var want []string
	for i := range 57 {
		id := fmt.Sprintf("op-%02d", i)
		p := pending(id, epoch.Add(time.Duration(i/5)*time.Microsecond)) // five at a time
		if i%3 == 0 {
			p.Operation.Project = "bakery"
		}
		h.happens(id, p)
		if i%2 == 0 {
			h.happens(id, contract.OperationRunning{Attempt: 1, At: epoch})
		}
		if i%3 == 0 && i%2 == 0 && i >= 5 {
			want = append(want, id)
		}
	}
	slices.Reverse(want)
	view := open(t)
	h.project(view, 1000)
	filter := app.Filter{
		States: []contract.State{contract.Running, contract.Failed}, Project: "bakery", Kind: contract.KindShell,
		Since: epoch.Add(time.Microsecond), Limit: 4,
	}
	var got []string
	for {
		page, more, err := view.Newest(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range page {
			got = append(got, op.ID)
			filter.After = app.Key{CreatedAt: op.CreatedAt, ID: op.ID}
		}
		if !more {
			break
		}
		if len(page) != filter.Limit {
			t.Errorf("a page of %d with more to come, want %d", len(page), filter.Limit)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestAPageOfLargeOperationsStaysBelowAMessage(t *testing.T) {
	h := newHistory(t, 1)
	for i := range 5 {
		p := pending(fmt.Sprintf("op-%d", i), epoch)
		p.Operation.Command.Shell.Script = strings.Repeat("x", 300<<10)
		h.happens(p.Operation.ID, p)
	}
	view := open(t)
	h.project(view, 1000)
	page, more, err := view.Newest(t.Context(), app.Filter{Limit: 50})
	if err != nil || !more || len(page) != 2 {
		t.Errorf("got %d operations, more %t, %v, want 2 and more", len(page), more, err)
	}
}

func TestResetRefusesToLoseWhatOnlyTheViewHolds(t *testing.T) {
	h := newHistory(t, 1)
	h.lives(1)
	view := open(t)
	h.project(view, 10)
	if done, err := view.Reset(t.Context(), 2); done || err != nil {
		t.Errorf("a log that begins at 2 where the view begins at 1: %t, %v, want refused", done, err)
	}
	compare(t, view, h)
	reset(t, view)
	if position, err := view.Position(t.Context()); position != 0 || err != nil {
		t.Errorf("position %d, %v after a reset, want 0", position, err)
	}
}
