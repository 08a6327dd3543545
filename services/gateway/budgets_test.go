package gateway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// budgeted is a world whose provisioner sets budgets.
func budgeted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.ready("shop")
	serve(w, contract.ServiceProvisioner, contract.VerbSetBudget, func(set contract.SetBudget) (contract.Project, error) {
		return w.conn.UpdateProject(t.Context(), set.Project, func(now *contract.Project) (string, contract.Project, error) {
			next := *now
			next.Budget = &set.Budget
			return contract.TypeProjectBudgeted, next, nil
		})
	})
	return w
}

type budgetStatus struct {
	Budget contract.Budget
	Today  struct {
		Tokens   int64
		CostUSD  float64   `json:"cost_usd"`
		ResetsAt time.Time `json:"resets_at"`
	}
}

func (w *world) setBudget(path, body string) budgetStatus {
	w.t.Helper()
	var status budgetStatus
	a := w.send(call{method: http.MethodPut, path: path, body: body})
	a.decode(w.t, http.StatusOK, &status)
	w.schemas().check("BudgetStatus", a.body)
	return status
}

// prompt sends an agent with more fields.
func (w *world) prompt(key, more string) answer {
	return w.send(call{path: "/projects/shop/commands", key: key, body: `{"kind":"agent","prompt":"p","provider":"claude-code"` + more + `}`})
}

// uses has an operation run and tell what it has used so far.
func (w *world) uses(id string, tokens int64, cost float64) {
	w.t.Helper()
	w.change(id, func(op contract.Operation) contract.Change {
		return contract.OperationProgressed{Attempt: op.Attempt, Result: &contract.Result{Usage: &contract.Usage{InputTokens: tokens, CacheReadTokens: 1000 * tokens, CostUSD: &cost}}}
	})
}

func limitsOf(t *testing.T, a answer) contract.AgentLimits {
	t.Helper()
	return a.operation(t, http.StatusAccepted).Command.Agent.Limits
}

func TestABudgetLimitsCommands(t *testing.T) {
	w := budgeted(t)
	key := w.newKey(`{"name":"bot","scopes":["commands:run","operations:read"]}`)
	w.setBudget("/projects/shop/budget", `{"default":{"turns":10,"cost_usd":1},"most":{"cost_usd":5,"wall":"2h","tokens":1000}}`)
	w.setBudget("/keys/"+key.ID+"/budget", `{"day":{"tokens":700},"most":{"turns":7}}`)
	for _, c := range []struct {
		name, key, more string
		want            contract.AgentLimits
	}{
		{"what nobody asks for is the default, or the most", "", ``, contract.AgentLimits{Turns: 10, CostUSD: 1, Tokens: 1000, Wall: contract.Duration(2 * time.Hour)}},
		{"what is asked for", "", `,"limits":{"cost_usd":5,"turns":50}`, contract.AgentLimits{Turns: 50, CostUSD: 5, Tokens: 1000, Wall: contract.Duration(2 * time.Hour)}},
		{"the key's are tighter", key.Secret, ``, contract.AgentLimits{Turns: 7, CostUSD: 1, Tokens: 700, Wall: contract.Duration(2 * time.Hour)}},
	} {
		if got := limitsOf(t, w.prompt(c.key, c.more)); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	for _, c := range []struct{ key, more, field string }{
		{"", `,"limits":{"cost_usd":5.01}`, "limits.cost_usd"},
		{"", `,"limits":{"wall":"3h"}`, "limits.wall"},
		{"", `,"timeout":"3h"`, "limits.wall"},
		{key.Secret, `,"limits":{"turns":8}`, "limits.turns"},
		{"", `,"provider":"codex"`, "provider"},
	} {
		var p problem
		w.prompt(c.key, c.more).decode(t, http.StatusBadRequest, &p)
		if len(p.Errors) != 1 || p.Errors[0].Field != c.field {
			t.Errorf("%s: %+v", c.more, p)
		}
	}
	w.run("shop") // has no budget
}

func TestTheSameRequestIsTheSameWhateverItsBudgetLeaves(t *testing.T) {
	w := budgeted(t)
	w.setBudget("/projects/shop/budget", `{"day":{"tokens":1000}}`)
	send := func() answer {
		return w.send(call{path: "/projects/shop/commands", body: `{"kind":"agent","prompt":"p","provider":"claude-code"}`, header: map[string]string{"Idempotency-Key": "k"}})
	}
	op := send().operation(t, http.StatusAccepted)
	w.begin(op.ID)
	w.uses(op.ID, 400, 0)
	again := send()
	if got := again.operation(t, http.StatusAccepted); got.ID != op.ID || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s, want %s", got.ID, op.ID)
	}
}

func TestADayThatIsUsedUpEndsWhatRunsAndTakesNoMore(t *testing.T) {
	w := budgeted(t)
	second, _ := w.start()
	w.setBudget("/projects/shop/budget", `{"day":{"cost_usd":2}}`)
	first := w.prompt("", "").operation(t, http.StatusAccepted)
	w.begin(first.ID)
	w.uses(first.ID, 100, 0.5)
	w.complete(first.ID)
	testkit.Eventually(t, func() error { // counters are a fold of the log, that every gateway has
		for _, url := range []string{w.url, second} {
			var status budgetStatus
			w.send(call{url: url, method: http.MethodGet, path: "/projects/shop/budget"}).decode(t, http.StatusOK, &status)
			if status.Today.CostUSD != 0.5 || status.Today.Tokens != 100 {
				return fmt.Errorf("%+v", status.Today)
			}
		}
		return nil
	})
	op := w.prompt("", "").operation(t, http.StatusAccepted)
	if got := op.Command.Agent.Limits.CostUSD; got != 1.5 {
		t.Errorf("a command may use %v USD of the 1.50 that are left", got)
	}
	w.begin(op.ID)
	w.uses(op.ID, 200, 1)
	w.uses(op.ID, 300, 1.6)
	stopped := w.becomes(op.ID, func(op contract.Operation) error {
		if !op.CancelRequested {
			return errors.New("nobody asked for its end")
		}
		return nil
	})
	if c := stopped.CancelCause; c == nil || c.Class != contract.ClassBudget || c.Message != "project shop has used up its 2.00 USD of today" {
		t.Errorf("%+v", c)
	}
	refused := w.prompt("", "")
	var p problem
	refused.decode(t, http.StatusTooManyRequests, &p)
	after, err := strconv.Atoi(refused.header.Get("Retry-After"))
	if p.Code != contract.CodeBudgetExceeded || err != nil || after < 1 || after > 24*60*60 || !strings.Contains(p.Detail, "2.00 USD") {
		t.Errorf("%s, after %d: %s", p.Code, after, p.Detail)
	}
	w.run("shop")
	w.setBudget("/projects/shop/budget", `{"day":{"cost_usd":3}}`)
	w.prompt("", "").operation(t, http.StatusAccepted)
}

func TestTheBudgetOfAKeyIsOfWhatItStarts(t *testing.T) {
	w := budgeted(t)
	w.ready("other")
	bot := w.newKey(`{"name":"bot","scopes":["commands:run"]}`)
	w.setBudget("/keys/"+bot.ID+"/budget", `{"day":{"tokens":100}}`)
	op := w.prompt(bot.Secret, "").operation(t, http.StatusAccepted)
	if op.Key != bot.ID {
		t.Errorf("key %q", op.Key)
	}
	w.begin(op.ID)
	w.uses(op.ID, 100, 0)
	w.becomes(op.ID, func(op contract.Operation) error {
		if op.CancelCause == nil {
			return errors.New("it goes on")
		}
		return nil
	})
	var p problem
	w.prompt(bot.Secret, "").decode(t, http.StatusTooManyRequests, &p)
	w.prompt("", "").operation(t, http.StatusAccepted)
	var own budgetStatus
	w.send(call{method: http.MethodGet, path: "/keys/self/budget", key: bot.Secret}).decode(t, http.StatusOK, &own)
	if own.Today.Tokens != 100 || own.Budget.Day.Tokens != 100 || time.Until(own.Today.ResetsAt) > 24*time.Hour {
		t.Errorf("%+v", own)
	}
	// It holds on a gateway that starts later, and after the key was read from the table.
	url, _ := w.start()
	testkit.Eventually(t, func() error {
		if a := w.send(call{url: url, path: "/projects/shop/commands", key: bot.Secret, body: `{"kind":"agent","prompt":"p","provider":"codex"}`}); a.status != http.StatusTooManyRequests {
			return fmt.Errorf("status %d: %s", a.status, a.body)
		}
		return nil
	})
	w.setBudget("/keys/"+bot.ID+"/budget", `{}`)
	w.prompt(bot.Secret, "").operation(t, http.StatusAccepted)
}

func TestBudgetsThatMakeNoSenseAreRefused(t *testing.T) {
	w := budgeted(t)
	bot := w.newKey(`{"name":"bot","scopes":["commands:run"]}`)
	for body, field := range map[string]string{
		`{"day":{"tokens":0}}`:                                 "day.tokens",
		`{"day":{"cost_usd":-1}}`:                              "day.cost_usd",
		`{"most":{"turns":0}}`:                                 "most.turns",
		`{"default":{"cost_usd":2},"most":{"cost_usd":1}}`:     "default.cost_usd",
		`{"default":{"wall":"soon"}}`:                          "default.wall",
		`{"default":{"silence":"2h"},"most":{"silence":"1h"}}`: "default.silence",
	} {
		for _, path := range []string{"/projects/shop/budget", "/keys/" + bot.ID + "/budget"} {
			var p problem
			w.send(call{method: http.MethodPut, path: path, body: body}).decode(t, http.StatusBadRequest, &p)
			if len(p.Errors) != 1 || p.Errors[0].Field != field {
				t.Errorf("%s %s: %+v", path, body, p.Errors)
			}
		}
	}
	if status := w.setBudget("/keys/"+bot.ID+"/budget", `{"most":{"tokens":5}}`); status.Budget.Most.Tokens != 5 {
		t.Errorf("%+v", status)
	}
	var shown json.RawMessage
	w.get("/keys/"+bot.ID+"/budget").decode(t, http.StatusOK, &shown)
	w.send(call{method: http.MethodPut, path: "/keys/" + unknownID + "/budget", body: `{}`}).refused(t, http.StatusNotFound)
}
