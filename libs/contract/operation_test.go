package contract_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func at(second int) time.Time { return time.Date(2026, 3, 1, 12, 0, second, 0, time.UTC) }

// changes are all changes that name an attempt, or none.
func changes(attempt int) []contract.Change {
	return []contract.Change{
		contract.OperationPending{Operation: contract.Operation{ID: "a", State: contract.Failed, Attempt: 7, Seq: 9}},
		contract.OperationRunning{Attempt: attempt, Executor: "e", At: at(attempt)},
		contract.OperationCancelRequested{},
		contract.OperationCompleted{Attempt: attempt, At: at(10)},
		contract.OperationFailed{Attempt: attempt, At: at(10), Failure: contract.NewFailure(contract.ClassUser, "no")},
		contract.OperationCancelled{Attempt: attempt, At: at(10)},
		contract.OperationProgressed{Attempt: attempt, Result: &contract.Result{Turns: 1}},
		contract.OperationRetrying{Attempt: attempt, At: at(10), RunAt: at(20), Failure: contract.NewFailure(contract.ClassUser, "no")},
		contract.OperationProvisioned{Attempt: attempt, Steps: []contract.ProvisionStep{{Name: "workspace", State: contract.ProvisionPlanned}}},
		contract.OperationStepped{Steps: []contract.BuildStep{{Name: "test", State: contract.StepRunning}}, At: at(3)},
		contract.OperationApprovalRequested{Attempt: attempt, Approval: contract.Approval{ID: "new", RequestedAt: at(3)}},
		contract.OperationApprovalDecided{Attempt: attempt, Approval: "open", State: contract.ApprovalApproved, By: "key:a", At: at(4)},
	}
}

// states are operations in every state that there is, as prev of Next.
func states() map[string]*contract.Operation {
	op := func(state contract.State, attempt int, cancel bool) *contract.Operation {
		return &contract.Operation{
			ID: "a", State: state, Rev: 5, Attempt: attempt, CancelRequested: cancel, Seq: 44,
			Approvals: []contract.Approval{{ID: "open", State: contract.ApprovalOpen, RequestedAt: at(2)}},
		}
	}
	held := op(contract.Pending, 0, false)
	held.Held = true
	working, stopping, waiting := op(contract.Running, 2, false), op(contract.Running, 2, true), op(contract.Pending, 2, false)
	for _, work := range []*contract.Operation{working, stopping, waiting} {
		work.Kind, work.Work, work.Lane = contract.KindWorkTest, &contract.Work{}, contract.WorkerLane("1")
	}
	planned, building, ending := op(contract.Pending, 0, false), op(contract.Running, 1, false), op(contract.Running, 1, true)
	for _, build := range []*contract.Operation{planned, building, ending} {
		build.Kind, build.Build = contract.KindBuild, &contract.Build{Steps: []contract.BuildStep{{Name: "test", State: contract.StepPending}}}
	}
	making := op(contract.Running, 2, false)
	making.Kind = contract.KindProjectCreate
	return map[string]*contract.Operation{
		"making": making, "planned": planned, "building": building, "ending": ending,
		"none": nil, "pending": op(contract.Pending, 0, false), "held": held,
		"working": working, "stopping": stopping, "waiting": waiting,
		"running": op(contract.Running, 2, false), "cancelling": op(contract.Running, 2, true),
		"completed": op(contract.Completed, 2, false), "failed": op(contract.Failed, 2, false), "cancelled": op(contract.Cancelled, 2, false),
	}
}

func TestAnEventFollowsASnapshotAsTheTableSays(t *testing.T) {
	const (
		legal   = "legal"
		illegal = "illegal"
		fenced  = "fenced"
	)
	// What is not listed is illegal. Attempts are 0 (any), 1, 2 and 3.
	table := map[string]map[string][4]string{
		"none": {"pending": {legal, legal, legal, legal}},
		"pending": {
			"running":   {fenced, legal, illegal, illegal},
			"failed":    {legal, fenced, fenced, fenced},
			"cancelled": {legal, fenced, fenced, fenced},
		},
		"held": {
			"running":            {fenced, illegal, illegal, illegal},
			"approval_requested": {legal, fenced, fenced, fenced},
			"approval_decided":   {legal, fenced, fenced, fenced},
			"failed":             {legal, fenced, fenced, fenced},
			"cancelled":          {legal, fenced, fenced, fenced},
		},
		"running": {
			"running":            {fenced, fenced, fenced, legal},
			"progressed":         {legal, fenced, legal, fenced},
			"approval_requested": {legal, fenced, legal, fenced},
			"approval_decided":   {legal, fenced, legal, fenced},
			"cancel_requested":   {legal, legal, legal, legal},
			"completed":          {legal, fenced, legal, fenced},
			"failed":             {legal, fenced, legal, fenced},
			"cancelled":          {legal, fenced, legal, fenced},
		},
		"cancelling": {
			"progressed":         {legal, fenced, legal, fenced},
			"approval_requested": {legal, fenced, legal, fenced},
			"approval_decided":   {legal, fenced, legal, fenced},
			"running":            {fenced, fenced, fenced, legal},
			"completed":          {legal, fenced, legal, fenced},
			"failed":             {legal, fenced, legal, fenced},
			"cancelled":          {legal, fenced, legal, fenced},
		},
	}
	for name, like := range map[string]string{"working": "running", "stopping": "cancelling"} {
		table[name] = maps.Clone(table[like])
	}
	table["working"]["retrying"] = [4]string{legal, fenced, legal, fenced}
	table["waiting"] = map[string][4]string{ // for its third attempt
		"running":   {fenced, fenced, fenced, legal},
		"failed":    {legal, fenced, legal, fenced},
		"cancelled": {legal, fenced, legal, fenced},
	}
	table["making"] = maps.Clone(table["running"])
	table["making"]["provisioned"] = [4]string{legal, fenced, legal, fenced}
	table["planned"] = map[string][4]string{
		"running":   {fenced},
		"stepped":   {legal, legal, legal, legal},
		"failed":    {legal, fenced, fenced, fenced},
		"cancelled": {legal, fenced, fenced, fenced},
	}
	table["building"] = map[string][4]string{
		"running":          {fenced, fenced},
		"stepped":          {legal, legal, legal, legal},
		"cancel_requested": {legal, legal, legal, legal},
	}
	table["ending"] = map[string][4]string{"running": {fenced, fenced}, "stepped": {legal, legal, legal, legal}}
	for _, event := range []string{"progressed", "approval_requested", "approval_decided", "completed", "failed", "cancelled"} {
		table["building"][event] = [4]string{legal, legal, fenced, fenced}
		table["ending"][event] = table["building"][event]
	}
	for state, prev := range states() {
		for attempt := range 4 {
			for _, change := range changes(attempt) {
				want := table[state][change.Type()][attempt]
				if want == "" {
					want = illegal
				}
				got := legal
				next, err := contract.Next(prev, change)
				switch {
				case errors.Is(err, contract.ErrFenced):
					got = fenced
				case errors.Is(err, contract.ErrIllegal):
					got = illegal
				case err != nil:
					got = err.Error()
				}
				name := fmt.Sprintf("%s of attempt %d after %s", change.Type(), attempt, state)
				if got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
				if err != nil && !reflect.DeepEqual(next, contract.Operation{}) {
					t.Errorf("%s: a refused change makes %+v", name, next)
				}
				if err == nil {
					checkNext(t, name, prev, change, next)
				}
			}
		}
	}
}

func checkNext(t *testing.T, name string, prev *contract.Operation, change contract.Change, next contract.Operation) {
	t.Helper()
	rev, attempt := 0, 0
	if prev != nil {
		rev, attempt = prev.Rev, prev.Attempt
	}
	if change.Type() == contract.TypeRunning || change.Type() == contract.TypeStepped && attempt == 0 {
		attempt++
	}
	if next.Rev != rev+1 || next.Attempt != attempt || next.Seq != 0 {
		t.Errorf("%s: revision %d, attempt %d, seq %d; want %d, %d, 0", name, next.Rev, next.Attempt, next.Seq, rev+1, attempt)
	}
	if next.State.Ended() != (next.FinishedAt != nil) || !next.State.Valid() {
		t.Errorf("%s: %s, finished at %v", name, next.State, next.FinishedAt)
	}
}

func TestAChangeLeavesTheSnapshotBeforeItAsItWas(t *testing.T) {
	for state, prev := range states() {
		if prev == nil {
			continue
		}
		before := *prev
		for _, change := range changes(3) {
			_, _ = contract.Next(prev, change) // whether it is legal is another test's
		}
		if !reflect.DeepEqual(before, *prev) {
			t.Errorf("%s changed to %+v", state, *prev)
		}
	}
}

func TestTheFirstAttemptSetsTheStartAndLaterOnesLeaveIt(t *testing.T) {
	op, err := contract.Next(nil, contract.OperationPending{Operation: contract.Operation{ID: "a"}})
	for attempt := 1; err == nil && attempt <= 3; attempt++ {
		op, err = contract.Next(&op, contract.OperationRunning{Attempt: attempt, Executor: fmt.Sprint(attempt), At: at(attempt)})
	}
	if err != nil || !op.StartedAt.Equal(at(1)) || op.Executor != "3" {
		t.Errorf("started at %v by %s: %v", op.StartedAt, op.Executor, err)
	}
}

func TestATryThatFailedIsInTheHistoryOfTheNext(t *testing.T) {
	op, err := contract.Next(nil, contract.OperationPending{Operation: contract.Operation{ID: "a", Kind: contract.KindWorkTest, Lane: contract.WorkLane(), Work: &contract.Work{MaxAttempts: 3}}})
	one := 1
	for i, change := range []contract.Change{
		contract.OperationRunning{Attempt: 1, Executor: "x", Worker: "w1", At: at(1)},
		contract.OperationRunning{Attempt: 2, Executor: "y", Worker: "w1", At: at(2)}, // goes on with it
		contract.OperationProgressed{Attempt: 2, Result: &contract.Result{Usage: &contract.Usage{InputTokens: 7}}},
		contract.OperationRetrying{Attempt: 2, ExitCode: &one, Failure: contract.NewFailure(contract.ClassUser, "no"), At: at(3), RunAt: at(9)},
	} {
		if err == nil {
			op, err = contract.Next(&op, change)
		}
		if err != nil {
			t.Fatalf("change %d: %v", i, err)
		}
	}
	want := contract.Try{
		Attempt: 2, Worker: "w1", Executor: "y", StartedAt: at(1), FinishedAt: at(3), ExitCode: &one,
		Failure: contract.NewFailure(contract.ClassUser, "no"), Usage: &contract.Usage{InputTokens: 7},
	}
	if op.State != contract.Pending || op.Lane != contract.WorkLane() || !op.Work.RunAt.Equal(at(9)) || len(op.Work.Tries) != 1 || !reflect.DeepEqual(op.Work.Tries[0], want) {
		t.Errorf("got %+v of %+v, want %+v", op.Work, op, want)
	}
	if op, err = contract.Next(&op, contract.OperationRunning{Attempt: 3, Executor: "z", Worker: "w2", At: at(9)}); err != nil {
		t.Fatal(err)
	}
	if op.Lane != contract.WorkerLane("w2") || op.Result != nil || !op.StartedAt.Equal(at(1)) || !op.AttemptAt.Equal(at(9)) {
		t.Errorf("the next try is %+v", op)
	}
}

func TestWorkIsTriedAgainAsOftenAsItMayBe(t *testing.T) {
	failed := contract.NewFailure
	for _, c := range []struct {
		name    string
		most    int
		tries   int // before
		failure *contract.Failure
		want    time.Duration // 0 for never
	}{
		{"a program that fails, once", 1, 0, failed(contract.ClassUser, ""), 0},
		{"a program that fails", 4, 0, failed(contract.ClassUser, ""), 10 * time.Second},
		{"for the third time", 4, 2, failed(contract.ClassTimeout, ""), 40 * time.Second},
		{"for the last time", 4, 3, failed(contract.ClassUser, ""), 0},
		{"a worker that is lost", 1, 0, failed(contract.ClassInfrastructure, ""), 10 * time.Second},
		{"a worker that is lost each time", 1, 2, failed(contract.ClassInfrastructure, ""), 0},
		{"a key that is refused", 9, 0, failed(contract.ClassAuth, ""), 0},
		{"a day that is used up", 9, 0, failed(contract.ClassBudget, ""), 0},
		{"many", 20, 18, failed(contract.ClassAgent, ""), time.Hour},
	} {
		work := &contract.Work{MaxAttempts: c.most, Backoff: contract.Duration(10 * time.Second), Tries: make([]contract.Try, c.tries)}
		if pause, again := work.RetryAfter(c.failure); pause != c.want || again != (c.want > 0) {
			t.Errorf("%s: again %t after %s, want %s", c.name, again, pause, c.want)
		}
	}
}

// FuzzNext applies sequences of changes: two bytes are one, its type and its
// attempt relative to the present one. What Next makes, Fold accepts; what it
// does not make, Fold refuses.
func FuzzNext(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 2, 0, 3, 0})
	f.Add([]byte{0, 0, 5, 0, 1, 1})
	f.Add([]byte{0, 0, 1, 2, 7, 1, 6, 1, 8, 1, 3, 1})
	f.Add([]byte{1, 1, 0, 0, 1, 1, 1, 1, 1, 2, 4, 3, 4, 0, 2, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		var prev *contract.Operation
		for len(script) >= 2 {
			attempt := int(script[1]%4) - 1
			if prev != nil {
				attempt += prev.Attempt
			}
			change := changes(attempt)[script[0]%10]
			script = script[2:]
			next, err := contract.Next(prev, change)
			if err != nil {
				if !errors.Is(err, contract.ErrIllegal) && !errors.Is(err, contract.ErrFenced) && !errors.Is(err, contract.ErrNotFound) {
					t.Fatalf("an error of no kind: %v", err)
				}
				continue
			}
			step(t, prev, change, next)
			prev = &next
		}
	})
}

func step(t *testing.T, prev *contract.Operation, change contract.Change, next contract.Operation) {
	t.Helper()
	if prev == nil {
		prev = &contract.Operation{}
	}
	if prev.State.Ended() {
		t.Fatalf("%s after %s", change.Type(), prev.State)
	}
	if next.Rev != prev.Rev+1 || next.Attempt < prev.Attempt || next.Attempt > prev.Attempt+1 || !next.State.Valid() {
		t.Fatalf("%s makes %+v of %+v", change.Type(), next, *prev)
	}
	if prev.State == "" {
		prev = nil
	}
	folded, err := contract.Fold(prev, change.Type(), next)
	if err != nil || !reflect.DeepEqual(folded, next) {
		t.Fatalf("Fold refuses what Next made: %v", err)
	}
	for _, spoil := range []func(*contract.Operation){
		func(o *contract.Operation) { o.Rev++ },
		func(o *contract.Operation) { o.Rev-- },
		func(o *contract.Operation) { o.Attempt++ },
		func(o *contract.Operation) { o.State = "other" },
	} {
		forged := next
		spoil(&forged)
		if kept, err := contract.Fold(prev, change.Type(), forged); !errors.Is(err, contract.ErrIllegal) {
			t.Fatalf("Fold takes a forged snapshot %+v: %+v, %v", forged, kept, err)
		}
	}
}

func TestFoldTakesAnEventWhereNextWouldHaveMadeItAndElseKeepsWhatWas(t *testing.T) {
	types := []string{"pending", "running", "cancel_requested", "progressed", "retrying", "stepped", "provisioned", "approval_requested", "approval_decided", "completed", "failed", "cancelled", "", "other"}
	for state, prev := range states() {
		for _, eventType := range types {
			// Every snapshot that the event could carry: at most one is right.
			made := map[string]bool{}
			for attempt := range 4 {
				for _, change := range changes(attempt) {
					if next, err := contract.Next(prev, change); err == nil && change.Type() == eventType {
						made[fmt.Sprint(next.State, next.Rev, next.Attempt)] = true
					}
				}
			}
			for _, s := range []contract.State{"", "pending", "running", "completed", "failed", "cancelled"} {
				for rev := range 8 {
					for attempt := range 5 {
						checkFold(t, state, prev, eventType, contract.Operation{ID: "a", State: s, Rev: rev, Attempt: attempt}, made)
					}
				}
			}
		}
	}
}

func checkFold(t *testing.T, state string, prev *contract.Operation, eventType string, snapshot contract.Operation, made map[string]bool) {
	t.Helper()
	got, err := contract.Fold(prev, eventType, snapshot)
	want, legal := snapshot, made[fmt.Sprint(snapshot.State, snapshot.Rev, snapshot.Attempt)]
	if !legal {
		want = contract.Operation{}
		if prev != nil {
			want = *prev
		}
	}
	if (err == nil) != legal || !reflect.DeepEqual(got, want) {
		t.Errorf("%q with %s, revision %d, attempt %d after %s: %v, want legal: %v",
			eventType, snapshot.State, snapshot.Rev, snapshot.Attempt, state, err, legal)
	}
}
