package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
	"github.com/orchard9/rdev/libs/contract"
)

func start(t *testing.T, projects ...string) (*gatewaytest.Gateway, *client.Client) {
	t.Helper()
	gateway := gatewaytest.New(projects...)
	t.Cleanup(gateway.Close)
	return gateway, connect(t, gateway.Server.URL, gatewaytest.Key)
}

func connect(t *testing.T, url, key string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{
		URL: url, Key: key, RetryDelay: time.Millisecond, Outage: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func shell(words ...string) client.Command {
	return client.Command{Kind: "shell", Shell: &contract.Shell{Argv: words}}
}

func TestAPostThatWasCutIsRepeatedWithTheSameKeyAndDoneOnce(t *testing.T) {
	for name, faults := range map[string][]gatewaytest.Fault{
		"busy":                  {{Status: 503}, {Status: 503, RetryAfter: "1"}},
		"cut before its effect": {{}, {}},
		"cut after its effect":  {{Late: true}, {}},
		"too many requests":     {{Status: 429}},
		"a proxy without us":    {{Status: 502}, {Status: 504}},
	} {
		t.Run(name, func(t *testing.T) {
			gateway, c := start(t, "shop")
			gateway.Fail(faults...)
			accepted, err := c.Run(t.Context(), "shop", shell("echo", "hi"), "")
			if err != nil {
				t.Fatal(err)
			}
			page, err := c.Operations(t.Context(), client.OperationFilter{})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Operations) != 1 || page.Operations[0].ID != accepted.ID {
				t.Errorf("operations %v, want the one that was accepted", page.Operations)
			}
			keys := map[string]bool{}
			tries := 0
			for _, request := range gateway.Requests() {
				if request.Method == http.MethodPost {
					keys[request.IdempotencyKey] = true
					tries++
				}
			}
			if tries != len(faults)+1 || len(keys) != 1 || keys[""] {
				t.Errorf("%d tries with keys %v, want %d with one key", tries, keys, len(faults)+1)
			}
		})
	}
}

func TestRetriesEndAndReportTheLastRefusal(t *testing.T) {
	gateway, c := start(t, "shop")
	for range 9 {
		gateway.Fail(gatewaytest.Fault{Status: http.StatusServiceUnavailable})
	}
	_, err := c.Projects(t.Context())
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok || problem.Code != "UNAVAILABLE" || problem.Status != http.StatusServiceUnavailable {
		t.Errorf("error %v, want UNAVAILABLE", err)
	}
	if tries := len(gateway.Requests()); tries != 5 {
		t.Errorf("%d tries, want 5", tries)
	}
}

func TestAGatewayThatWantsALongBreakIsReportedAtOnce(t *testing.T) {
	gateway, c := start(t)
	gateway.Fail(gatewaytest.Fault{Status: 503, RetryAfter: "3600"})
	_, err := c.Projects(t.Context())
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok || problem.RetryAfter != time.Hour {
		t.Errorf("error %v, want one that asks for an hour", err)
	}
}

func TestARefusalTellsCodeDetailAndFields(t *testing.T) {
	gateway, c := start(t)
	_, err := c.ChangeProject(t.Context(), client.CreateProject(client.NewProject{Slug: "Bad"}), false)
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok {
		t.Fatalf("error %v, want a problem", err)
	}
	want := &client.Problem{
		Status: 400, Code: "INVALID_REQUEST", Title: "Bad Request", Detail: "the request is not valid",
		Fields: []client.FieldError{{Field: "slug", Message: "must be 1 to 40 of a-z, 0-9 and hyphen, and begin and end with a letter or digit"}},
	}
	if diff := cmp.Diff(want, problem); diff != "" {
		t.Error(diff)
	}
	if tries := len(gateway.Requests()); tries != 1 {
		t.Errorf("%d tries of what can not go well, want 1", tries)
	}
}

func TestAnAnswerThatIsNoProblemDocumentIsStillAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<html>no</html>"))
	}))
	defer server.Close()
	_, err := connect(t, server.URL, "").Projects(t.Context())
	if err == nil || err.Error() != "forbidden (HTTP 403)" {
		t.Errorf("error %v, want forbidden (HTTP 403)", err)
	}
}

func TestTheKeyDoesNotFollowARedirect(t *testing.T) {
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	if _, err := connect(t, server.URL, gatewaytest.Key).Projects(t.Context()); err == nil || followed {
		t.Errorf("error %v, followed %v; want a refusal", err, followed)
	}
}

func TestNobodyThereIsAnUnreachableError(t *testing.T) {
	server := httptest.NewServer(nil)
	url := server.URL
	server.Close()
	_, err := connect(t, url, "").Projects(t.Context())
	if unreachable, ok := errors.AsType[*client.UnreachableError](err); !ok || unreachable.URL != url {
		t.Errorf("error %v, want one that names %s", err, url)
	}
}

func TestWaitTellsTheWayToTheEndAndOutlastsAnOutage(t *testing.T) {
	gateway, c := start(t, "shop")
	accepted, err := c.Run(t.Context(), "shop", shell("hang"), "")
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		gateway.Fail(gatewaytest.Fault{Path: "/operations/" + accepted.ID, Status: http.StatusServiceUnavailable})
	}
	var states []contract.State
	ended, err := c.Wait(t.Context(), accepted.ID, func(o client.Operation) {
		if states = append(states, o.State); len(states) == 1 {
			if _, err := c.Cancel(t.Context(), accepted.ID); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil || ended.State != contract.Cancelled {
		t.Errorf("ended %s, %v; want cancelled", ended.State, err)
	}
	if diff := cmp.Diff([]contract.State{contract.Running, contract.Cancelled}, states); diff != "" {
		t.Error(diff)
	}
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, url := range []string{"", "localhost:8080", "ftp://x", "http://", "://"} {
		if _, err := client.New(client.Config{URL: url}); err == nil {
			t.Errorf("%q was taken", url)
		}
	}
}

func TestADecisionThatWasCutIsMadeOnceAndAnotherIsRefused(t *testing.T) {
	gateway, c := start(t, "shop")
	command := shell("echo", "hi")
	command.Approval = contract.ApprovalRequired
	accepted, err := c.Run(t.Context(), "shop", command, "")
	if err != nil {
		t.Fatal(err)
	}
	if !accepted.Held || !accepted.Waits() {
		t.Fatalf("it does not wait: %+v", accepted.Operation.Operation)
	}
	gateway.Fail(gatewaytest.Fault{Path: "/operations/" + accepted.ID + "/approvals/start", Late: true})
	decided, err := c.Decide(t.Context(), accepted.ID, contract.ApprovalStart, client.Decision{Decision: client.Approve, Comment: "go"})
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := decided.Approval(contract.ApprovalStart); a.State != contract.ApprovalApproved || a.Comment != "go" || decided.State != contract.Completed {
		t.Errorf("%s after %+v, want it completed", decided.State, a)
	}
	_, err = c.Decide(t.Context(), accepted.ID, contract.ApprovalStart, client.Decision{Decision: client.Deny})
	if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Code != string(contract.CodeConflict) {
		t.Errorf("another decision: %v, want a conflict", err)
	}
}

func TestABudgetWritesItselfAsItCame(t *testing.T) {
	_, c := start(t, "shop")
	want := contract.Budget{Day: contract.Spend{CostUSD: 20}, Most: contract.AgentLimits{Wall: contract.Duration(time.Hour)}}
	set, err := c.SetProjectBudget(t.Context(), "shop", want)
	if err != nil {
		t.Fatal(err)
	}
	read, err := c.ProjectBudget(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []client.Budget{set, read} {
		if diff := cmp.Diff(want, got.Budget); diff != "" {
			t.Error(diff)
		}
		text, err := json.Marshal(got)
		if err != nil || !strings.Contains(string(text), `"most":{"wall":"1h0m0s"}`) {
			t.Errorf("%s, %v", text, err)
		}
	}
	for event, err := range c.Events(t.Context(), client.EventFilter{From: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, event.Budget); diff != "" || event.Entity != contract.EntityProject || event.ID != "shop" {
			t.Errorf("%s %s: %s", event.Entity, event.ID, diff)
		}
		return
	}
}
