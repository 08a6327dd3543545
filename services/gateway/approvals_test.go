package gateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// ask sends a command that has to be approved.
func (w *world) ask(more string) operation {
	w.t.Helper()
	op := w.send(call{path: "/projects/shop/commands", body: `{"kind":"shell","argv":["deploy","now"],"approval":"required"` + more + `}`}).operation(w.t, http.StatusAccepted)
	if a, ok := op.Approval(contract.ApprovalStart); !ok || !op.Held || a.State != contract.ApprovalOpen || a.Title != "deploy now" {
		w.t.Fatalf("held: %t, approvals %+v", op.Held, op.Approvals)
	}
	return op
}

func (w *world) decide(id, approval, body string) answer {
	return w.send(call{path: "/operations/" + id + "/approvals/" + approval, body: body})
}

// becomes waits until an operation is as wanted.
func (w *world) becomes(id string, want func(contract.Operation) error) contract.Operation {
	w.t.Helper()
	var op contract.Operation
	testkit.Eventually(w.t, func() (err error) {
		if op, err = w.conn.Load(w.t.Context(), id); err != nil {
			return err
		}
		return want(op)
	})
	return op
}

func state(want contract.State) func(contract.Operation) error {
	return func(op contract.Operation) error {
		if op.State != want {
			return fmt.Errorf("it is %s, want %s", op.State, want)
		}
		return nil
	}
}

// types are those of an operation's events.
func (w *world) types(id string) []string {
	w.t.Helper()
	events, err := w.conn.History(w.t.Context(), contract.EntityOperation, id, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

func TestACommandWaitsForItsApproval(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.ask("")
	later := w.run("shop") // what is held keeps nobody waiting
	w.onLane(contract.PodLane("shop"), later.ID)
	approved := w.decide(op.ID, contract.ApprovalStart, `{"decision":"approve","comment":"go"}`).operation(t, http.StatusOK)
	a, _ := approved.Approval(contract.ApprovalStart)
	if approved.Held || a.State != contract.ApprovalApproved || a.DecidedBy != "key:admin" || a.Comment != "go" {
		t.Errorf("held: %t, %+v", approved.Held, a)
	}
	w.work(func(cmd contract.RunOperation) {
		w.begin(cmd.Operation)
		w.complete(cmd.Operation)
	})
	w.becomes(op.ID, state(contract.Completed))
	want := []string{"pending", "approval_requested", "approval_decided", "running", "completed"}
	if got := w.types(op.ID); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWhatIsDeniedNeverRuns(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.work(func(cmd contract.RunOperation) { t.Errorf("%s was given to an executor", cmd.Operation) })
	op := w.ask("")
	denied := w.decide(op.ID, contract.ApprovalStart, `{"decision":"deny","comment":"not today"}`).operation(t, http.StatusOK)
	if denied.State != contract.Cancelled || denied.Failure != nil {
		t.Errorf("%s, %+v", denied.State, denied.Failure)
	}
	other := w.ask("")
	cancelled := w.send(call{path: "/operations/" + other.ID + "/cancel"}).operation(t, http.StatusOK)
	if a, _ := cancelled.Approval(contract.ApprovalStart); cancelled.State != contract.Cancelled || a.State != contract.ApprovalWithdrawn {
		t.Errorf("%s, %+v", cancelled.State, a)
	}
}

func TestAnApprovalIsDecidedOnce(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	for _, c := range []struct {
		name, path, body string
		code             contract.Code
	}{
		{"no decision", "start", `{}`, contract.CodeInvalidRequest},
		{"no such decision", "start", `{"decision":"maybe"}`, contract.CodeInvalidRequest},
		{"no such field", "start", `{"decision":"deny","reason":"x"}`, contract.CodeInvalidRequest},
		{"a novel", "start", `{"decision":"deny","comment":"` + strings.Repeat("x", 2001) + `"}`, contract.CodeInvalidRequest},
		{"another approval", "other", `{"decision":"deny"}`, contract.CodeNotFound},
	} {
		op := w.ask("")
		var p problem
		if w.decide(op.ID, c.path, c.body).decode(t, statusOf(c.code), &p); p.Code != c.code {
			t.Errorf("%s: %s", c.name, p.Code)
		}
	}
	op := w.ask("")
	path := "/operations/" + op.ID + "/approvals/start"
	key := map[string]string{"Idempotency-Key": "once"}
	w.send(call{path: path, body: `{"decision":"approve"}`, header: key}).operation(t, http.StatusOK)
	again := w.send(call{path: path, body: `{"decision":"approve"}`, header: key})
	again.operation(t, http.StatusOK)
	if again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("a decision that came again is not said to be one")
	}
	for _, c := range []struct {
		body   string
		header map[string]string
		code   contract.Code
	}{
		{`{"decision":"approve"}`, nil, contract.CodeConflict},
		{`{"decision":"deny"}`, nil, contract.CodeConflict},
		{`{"decision":"deny"}`, key, contract.CodeIdempotencyMismatch},
	} {
		var p problem
		w.send(call{path: path, body: c.body, header: c.header}).decode(t, http.StatusConflict, &p)
		if p.Code != c.code {
			t.Errorf("%s: %s %s", c.body, p.Code, p.Detail)
		}
	}
	if got := w.types(op.ID); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestOneOfManyDecisionsHolds(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	second, _ := w.start()
	op := w.ask("")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []string
	for i := range 8 {
		wg.Go(func() {
			decision := []string{"approve", "deny"}[i%2]
			a := w.send(call{
				url: []string{w.url, second}[i/4], path: "/operations/" + op.ID + "/approvals/start", body: `{"decision":"` + decision + `"}`,
			})
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case http.StatusOK:
				won = append(won, decision)
			case http.StatusConflict:
			default:
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	now, err := w.conn.Load(t.Context(), op.ID)
	if err != nil || len(won) != 1 || (won[0] == "approve") != !now.State.Ended() {
		t.Errorf("%v were answered with 200, and it is %s: %v", won, now.State, err)
	}
}

func TestAnApprovalExpiresWithItsDefault(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	denied, approved := w.ask(`,"approval_timeout":"1s"`), w.ask(`,"approval_timeout":"1s","approval_default":"approved"`)
	failed := w.becomes(denied.ID, state(contract.Failed))
	if failed.Failure.Class != contract.ClassTimeout || failed.Failure.Message != "it was not approved: nobody decided within 1s" {
		t.Errorf("%+v", failed.Failure)
	}
	w.onLane(contract.PodLane("shop"), approved.ID)
	a, _ := failed.Approval(contract.ApprovalStart)
	if a.DecidedBy != contract.ApprovalActor || a.State != contract.ApprovalDenied {
		t.Errorf("%+v", a)
	}
	var p problem
	if w.decide(denied.ID, "start", `{"decision":"approve"}`).decode(t, http.StatusConflict, &p); p.Code != contract.CodeConflict {
		t.Errorf("a decision that came too late: %s", p.Code)
	}
}

// A gateway that dies between the events of an operation leaves the rest to the
// next one, and what has expired meanwhile is decided.
func TestApprovalsOutliveTheGateways(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	open := w.ask(`,"approval_timeout":"1h"`)
	short := w.ask(`,"approval_timeout":"1s"`)
	w.stop()
	unasked, err := w.conn.Append(t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: unknownID, Kind: contract.KindShell, Project: "shop", Actor: "key:x", CreatedAt: time.Now(), Lane: contract.PodLane("shop"),
		Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"x"}}, Approval: contract.ApprovalRequired},
	}})
	if err != nil || !unasked.Held {
		t.Fatal(unasked.Held, err)
	}
	testkit.Eventually(t, func() error {
		if a, _ := short.Approval("start"); time.Now().Before(a.ExpiresAt) {
			return errors.New("it has not expired yet")
		}
		return nil
	})
	w.url, w.stop = w.start()
	w.becomes(short.ID, state(contract.Failed))
	w.becomes(unasked.ID, func(op contract.Operation) error {
		if !op.Waits() {
			return errors.New("nobody is asked")
		}
		return nil
	})
	w.decide(open.ID, "start", `{"decision":"approve"}`).operation(t, http.StatusOK)
	w.onLane(contract.PodLane("shop"), open.ID)
}

func TestOpenApprovalsAreListed(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "other")
	first, second, third := w.ask(`,"approval_timeout":"3h"`), w.ask(`,"approval_timeout":"2h"`), w.ask(`,"approval_timeout":"1h"`)
	run := w.run("other")
	w.begin(run.ID)
	w.change(run.ID, func(op contract.Operation) contract.Change {
		a := contract.NewApproval(op, "tool-1", time.Now())
		a.Tool, a.Input, a.ExpiresAt = "Write", []byte(`{"file_path":"x"}`), time.Now().Add(30*time.Minute)
		return contract.OperationApprovalRequested{Attempt: op.Attempt, Approval: a}
	})
	type page struct {
		Approvals []struct {
			Operation, Project, Kind, Actor string
			Approval                        contract.Approval
		}
		NextCursor *string `json:"next_cursor"`
	}
	list := func(key, query string) (ids []string, next string) {
		var p page
		a := w.send(call{method: http.MethodGet, path: "/approvals?" + query, key: key})
		a.decode(t, http.StatusOK, &p)
		w.schemas().check("ApprovalList", a.body)
		for _, a := range p.Approvals {
			ids = append(ids, a.Operation)
		}
		if p.NextCursor != nil {
			next = *p.NextCursor
		}
		return ids, next
	}
	testkit.Eventually(t, func() error {
		if ids, _ := list("", ""); !slices.Equal(ids, []string{run.ID, third.ID, second.ID, first.ID}) {
			return fmt.Errorf("%v", ids)
		}
		return nil
	})
	ids, next := list("", "limit=2")
	rest, end := list("", "limit=2&cursor="+next)
	if !slices.Equal(append(ids, rest...), []string{run.ID, third.ID, second.ID, first.ID}) || end != "" {
		t.Errorf("%v, then %v, %q", ids, rest, end)
	}
	if ids, _ := list("", "project=other"); !slices.Equal(ids, []string{run.ID}) {
		t.Errorf("of other: %v", ids)
	}
	narrow := w.newKey(`{"name":"narrow","scopes":["operations:read"],"projects":["shop"]}`).Secret
	if ids, _ := list(narrow, ""); len(ids) != 3 {
		t.Errorf("a key for shop sees %v", ids)
	}
	w.send(call{method: http.MethodGet, path: "/approvals?project=other", key: narrow}).refused(t, http.StatusForbidden)
	w.send(call{path: "/operations/" + run.ID + "/approvals/tool-1", key: w.newKey(`{"name":"elsewhere","scopes":["operations:approve"],"projects":["shop"]}`).Secret, body: `{"decision":"approve"}`}).refused(t, http.StatusForbidden)
	w.decide(run.ID, "tool-1", `{"decision":"deny"}`).operation(t, http.StatusOK)
	testkit.Eventually(t, func() error {
		if ids, _ := list("", "project=other"); len(ids) != 0 {
			return fmt.Errorf("%v", ids)
		}
		return nil
	})
}

// refused checks that an answer is an error of a status.
func (a answer) refused(t *testing.T, status int) {
	t.Helper()
	var p problem
	a.decode(t, status, &p)
}

func statusOf(code contract.Code) int {
	if code == contract.CodeNotFound {
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}
