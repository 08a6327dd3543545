package client_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
	"github.com/orchard9/rdev/libs/contract"
)

func TestManyPiecesOfWorkHaveAnOutcomeEachAndAreDoneOnce(t *testing.T) {
	gateway, c := start(t, "shop")
	gateway.Fail(gatewaytest.Fault{Path: "/work/bulk", Late: true})
	items := []json.RawMessage{
		json.RawMessage(`{"kind":"test","project":"shop","argv":["echo"]}`),
		json.RawMessage(`{"kind":"odd","project":"shop","argv":["echo"]}`),
		json.RawMessage(`{"kind":"build","project":"shop","script":"echo"}`),
	}
	outcomes, err := c.AddAllWork(t.Context(), items, "")
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.Work(t.Context(), client.OperationFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(outcomes) != 3 || len(page.Work) != 2 {
		t.Fatalf("%d outcomes and %d operations, want 3 and 2", len(outcomes), len(page.Work))
	}
	if outcomes[0].Operation.ID != page.Work[1].ID || outcomes[2].Operation.Kind != contract.KindWorkBuild {
		t.Errorf("outcomes %v are not in the order of the items", outcomes)
	}
	want := &client.Problem{
		Status: 400, Code: "INVALID_REQUEST", Detail: "the request is not valid",
		Fields: []client.FieldError{{Field: "kind", Message: "must be one of build, test, deploy, custom"}},
	}
	if diff := cmp.Diff(want, outcomes[1].Error); diff != "" || outcomes[1].Operation != nil {
		t.Errorf("the second has the operation %v, and %s", outcomes[1].Operation, diff)
	}
	text, err := json.Marshal(outcomes[1])
	if err != nil {
		t.Fatal(err)
	}
	if again := (client.WorkOutcome{}); json.Unmarshal(text, &again) != nil || again.Error == nil {
		t.Errorf("the outcome is written as %s", text)
	}
}

func TestWorkIsFoundAndRetriedAndOperationsAreNone(t *testing.T) {
	_, c := start(t, "shop")
	command, err := c.Run(t.Context(), "shop", shell("echo"), "")
	if err != nil {
		t.Fatal(err)
	}
	work, err := c.AddWork(t.Context(), client.NewWork{Kind: "test", Project: "shop", Shell: &contract.Shell{Argv: []string{"fail", "3"}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	retry, err := c.RetryWork(t.Context(), work.ID, "k")
	if err != nil {
		t.Fatal(err)
	}
	if retry.Work == nil || retry.Work.RetryOf != work.ID {
		t.Errorf("the retry %v is none of %s", retry.Work, work.ID)
	}
	if again, err := c.RetryWork(t.Context(), work.ID, "k"); err != nil || again.ID != retry.ID || !again.Replayed {
		t.Errorf("the same retry is %s, replayed %v, %v", again.ID, again.Replayed, err)
	}
	if found, err := c.WorkItem(t.Context(), work.ID); err != nil || found.State != contract.Failed {
		t.Errorf("the work is %s, %v", found.State, err)
	}
	for name, call := range map[string]func() error{
		"read":   func() error { _, err := c.WorkItem(t.Context(), command.ID); return err },
		"cancel": func() error { _, err := c.CancelWork(t.Context(), command.ID); return err },
		"retry":  func() error { _, err := c.RetryWork(t.Context(), command.ID, ""); return err },
	} {
		if problem, ok := errors.AsType[*client.Problem](call()); !ok || problem.Code != "NOT_FOUND" {
			t.Errorf("%s of a command: %v, want NOT_FOUND", name, problem)
		}
	}
}

func TestStatsAndWorkersKeepWhatTheGatewaySaid(t *testing.T) {
	_, c := start(t, "shop")
	work, err := c.AddWork(t.Context(), client.NewWork{Kind: "test", Project: "shop", Shell: &contract.Shell{Script: "hang"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	stats, err := c.WorkStats(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	if stats.Running != 1 || stats.ByKind["test"].Running != 1 || stats.ByWorker["local-1"].Operation != work.ID || stats.Wait.P95 != 125 {
		t.Errorf("stats %+v", stats)
	}
	workers, err := c.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(workers) != 2 || workers[0].Operation != work.ID || workers[0].Project != "shop" || workers[0].Since == nil || workers[1].Operation != "" {
		t.Errorf("workers %+v", workers)
	}
	for _, value := range []any{stats, workers[1]} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil || len(fields) < 7 {
			t.Errorf("%s: %v", text, err)
		}
	}
	drained, err := c.DrainWorker(t.Context(), "local-2")
	if err != nil || drained.State != contract.WorkerDraining {
		t.Errorf("the worker is %s, %v", drained.State, err)
	}
	resumed, err := c.ResumeWorker(t.Context(), "local-2")
	if err != nil || resumed.State != contract.WorkerReady {
		t.Errorf("the worker is %s, %v", resumed.State, err)
	}
}
