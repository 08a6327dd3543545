package audit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestAnOperationsWholeLifeCanBeReadBack(t *testing.T) {
	b := newBench(t)
	b.serve()
	op := b.life("shop")

	list := b.list(contract.ListOperations{MinSeq: op.Seq})
	if diff := cmp.Diff([]contract.Operation{op}, list.Operations); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if list.NextCursor != nil || list.ProjectedSeq != op.Seq {
		t.Errorf("next cursor %v, projected %d, want none and %d", list.NextCursor, list.ProjectedSeq, op.Seq)
	}
	got, err := call[contract.Operation](b, contract.VerbGetOperation, contract.GetOperation{ID: op.ID})
	if diff := cmp.Diff(op, got); err != nil || diff != "" {
		t.Errorf("get: %v (-want +got):\n%s", err, diff)
	}
	history, err := call[contract.OperationHistory](b, contract.VerbOperationHistory, contract.GetOperationHistory{ID: op.ID})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for i, e := range history.Events {
		types = append(types, e.Type)
		if e.Operation == nil || e.Operation.Rev != i+1 || e.Seq != e.Operation.Seq || e.Actor != "service:gateway" || e.Time.IsZero() {
			t.Errorf("event %d of the history: %+v", i, e)
		}
	}
	if diff := cmp.Diff([]string{"pending", "running", "cancel_requested", "completed"}, types); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	later, err := call[contract.OperationHistory](b, contract.VerbOperationHistory, contract.GetOperationHistory{ID: op.ID, AfterSeq: op.Seq - 1})
	if err != nil || len(later.Events) != 1 {
		t.Errorf("history after %d: %d events, %v, want the last", op.Seq-1, len(later.Events), err)
	}
	at, err := call[contract.ProjectionPosition](b, contract.VerbProjectionPosition, contract.GetProjectionPosition{})
	if err != nil || at.ProjectedSeq != op.Seq {
		t.Errorf("position %d, %v, want %d", at.ProjectedSeq, err, op.Seq)
	}
}

func TestWhatIsNotThereAndWhatMakesNoSenseIsSaid(t *testing.T) {
	b := newBench(t)
	b.serve()
	b.list(contract.ListOperations{})
	_, get := call[contract.Operation](b, contract.VerbGetOperation, contract.GetOperation{ID: "nobody"})
	_, bytes := call[contract.Operation](b, contract.VerbGetOperation, contract.GetOperation{ID: "\x00"})
	_, events := call[contract.OperationHistory](b, contract.VerbOperationHistory, contract.GetOperationHistory{ID: "nobody"})
	_, state := call[contract.OperationList](b, contract.VerbListOperations, contract.ListOperations{State: "pending,lost"})
	_, limit := call[contract.OperationList](b, contract.VerbListOperations, contract.ListOperations{Limit: -1})
	_, noCursor := call[contract.OperationList](b, contract.VerbListOperations, contract.ListOperations{Cursor: "?"})
	_, otherCursor := call[contract.OperationList](b, contract.VerbListOperations, contract.ListOperations{Cursor: "OTk5OTk5OTk5OTk5OTk5OTk5OS54"})
	for name, c := range map[string]struct {
		err  error
		code contract.Code
	}{
		"get": {get, contract.CodeNotFound}, "bytes": {bytes, contract.CodeNotFound}, "events": {events, contract.CodeNotFound},
		"state": {state, contract.CodeInvalidRequest}, "limit": {limit, contract.CodeInvalidRequest},
		"no cursor": {noCursor, contract.CodeInvalidRequest}, "another cursor": {otherCursor, contract.CodeInvalidRequest},
	} {
		known, ok := errors.AsType[*contract.Error](c.err)
		if !ok || known.Code != c.code {
			t.Errorf("%s: %v, want %s", name, c.err, c.code)
		}
	}
}

func TestAListIsFilteredAndPaged(t *testing.T) {
	b := newBench(t)
	b.serve()
	begin := time.Now().UTC().Truncate(time.Second)
	var last contract.Operation
	for i := range 7 {
		last = b.append(nil, accept([]string{"shop", "bakery"}[i%2], begin.Add(time.Duration(i)*time.Second)))
	}
	ended := b.life("shop")
	request := contract.ListOperations{State: "pending, running", Project: "shop", Kind: contract.KindShell, Limit: 2, MinSeq: ended.Seq, Since: begin.Add(time.Second)}
	var got []time.Duration
	for pages := 1; ; pages++ {
		list := b.list(request)
		for _, op := range list.Operations {
			got = append(got, op.CreatedAt.Sub(begin))
		}
		if list.NextCursor == nil {
			if pages != 2 {
				t.Errorf("%d pages, want 2", pages)
			}
			break
		}
		request.Cursor = *list.NextCursor
	}
	if diff := cmp.Diff([]time.Duration{6 * time.Second, 4 * time.Second, 2 * time.Second}, got); diff != "" {
		t.Errorf("operations by age (-want +got):\n%s", diff)
	}
	stale, err := call[contract.OperationList](b, contract.VerbListOperations, contract.ListOperations{MinSeq: ended.Seq + 1})
	if err != nil || !stale.Stale || stale.ProjectedSeq != ended.Seq || len(stale.Operations) != 8 {
		t.Errorf("a list of the future: stale %t, projected %d, %d operations, %v", stale.Stale, stale.ProjectedSeq, len(stale.Operations), err)
	}
	if last.Project != "shop" {
		t.Errorf("the last operation is of %s", last.Project)
	}
	for patterns, want := range map[string]int{"shop": 5, "shop bakery": 8, "*": 8, "b*": 3, "*ak*": 3, "sho": 0, "s_op": 0, "s%": 0, `\`: 0, "other x*": 0} {
		if list := b.list(contract.ListOperations{Within: strings.Fields(patterns), MinSeq: ended.Seq}); len(list.Operations) != want {
			t.Errorf("within %q there are %d operations, want %d", patterns, len(list.Operations), want)
		}
	}
	if list := b.list(contract.ListOperations{Within: []string{"b*"}, Project: "shop", MinSeq: ended.Seq}); len(list.Operations) != 0 {
		t.Errorf("a project that is not within lists %d operations", len(list.Operations))
	}
}

func TestStaleOperationsAreEndedInTheLog(t *testing.T) {
	b := newBench(t)
	b.cfg.CleanupInterval = 20 * time.Millisecond
	b.cfg.Lease = contract.Lease{AckWait: 100 * time.Millisecond}
	now := time.Now().UTC()
	expired := b.append(nil, accept("old", now.Add(-25*time.Hour)))
	fresh := b.append(nil, accept("new", now))
	lost := b.append(nil, accept("lost", now))
	lost = b.append(&lost, contract.OperationRunning{Attempt: 1, At: now})
	held := b.append(nil, accept("held", now))
	held = b.append(&held, contract.OperationRunning{Attempt: 1, At: now})
	if err := b.conn.Offer(t.Context(), held.Lane, contract.RunOperation{Operation: held.ID, Project: "held"}); err != nil {
		t.Fatal(err)
	}
	b.serve()
	want := map[string]contract.State{expired.ID: contract.Failed, lost.ID: contract.Failed, fresh.ID: contract.Pending, held.ID: contract.Running}
	testkit.Eventually(t, func() error {
		got := map[string]contract.State{}
		list, err := call[contract.OperationList](b, contract.VerbListOperations, contract.ListOperations{})
		for _, op := range list.Operations {
			got[op.ID] = op.State
			if op.State == contract.Failed && (op.Failure == nil || op.Failure.Class != contract.ClassInfrastructure) {
				t.Errorf("operation %s failed for %+v", op.ID, op.Failure)
			}
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			err = errors.New(diff)
		}
		return err
	})
}
