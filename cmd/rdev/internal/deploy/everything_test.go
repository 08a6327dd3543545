package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// dial waits for a gateway.
func dial(t *testing.T, url, key string) *client.Client {
	t.Helper()
	api, err := client.New(client.Config{URL: url, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error { return api.Ready(t.Context()) })
	return api
}

// create makes a project.
func create(t *testing.T, api *client.Client, slug string) {
	t.Helper()
	accepted, err := api.ChangeProject(t.Context(), client.CreateProject(client.NewProject{Slug: slug}), true)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, api, accepted.ID, contract.Completed)
}

// ended waits for the end of an operation.
func ended(t *testing.T, api *client.Client, id string, want contract.State) client.Operation {
	t.Helper()
	operation, err := api.Wait(t.Context(), id, func(client.Operation) {})
	if err != nil {
		t.Fatal(err)
	}
	if operation.State != want {
		t.Fatalf("%s %s ended as %s: %+v", operation.Kind, id, operation.State, operation.Failure)
	}
	return operation
}

// said runs a shell command, and gives what it wrote to stdout.
func said(t *testing.T, api *client.Client, project, script string) string {
	t.Helper()
	accepted := run(t, api, project, script)
	var text strings.Builder
	for piece, err := range api.Output(t.Context(), accepted, 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Kind == contract.OutputStdout {
			text.Write(piece.Data)
		}
	}
	ended(t, api, accepted, contract.Completed)
	return text.String()
}

// run starts a shell command.
func run(t *testing.T, api *client.Client, project, script string) (id string) {
	t.Helper()
	accepted, err := api.Run(t.Context(), project, client.Command{Kind: "shell", Shell: &contract.Shell{Script: script}}, "")
	if err != nil {
		t.Fatal(err)
	}
	return accepted.ID
}

// everything does through a gateway what each service is there for.
func everything(t *testing.T, url, key string) {
	t.Helper()
	api := dial(t, url, key)
	create(t, api, "shop")
	if got := said(t, api, "shop", "echo hello"); got != "hello\n" {
		t.Errorf("the command said %q", got)
	}
	id := run(t, api, "shop", "sleep 600")
	testkit.Eventually(t, func() error { return running(t.Context(), api, id) })
	if _, err := api.Cancel(t.Context(), id); err != nil {
		t.Error(err)
	}
	ended(t, api, id, contract.Cancelled)
	follow(t, api)
	if history, err := api.History(t.Context(), id); err != nil || len(history) < 4 {
		t.Errorf("the history of %s has %d events, %v", id, len(history), err)
	}
	// The lists are views of the log, which follow it.
	testkit.Eventually(t, func() error {
		page, err := api.Operations(t.Context(), client.OperationFilter{Project: "shop"})
		if err == nil && len(page.Operations) < 3 {
			err = fmt.Errorf("there are %d operations", len(page.Operations))
		}
		return err
	})
	testkit.Eventually(t, func() error {
		projects, err := api.Projects(t.Context())
		if err == nil && len(projects) != 1 {
			err = fmt.Errorf("there are %d projects", len(projects))
		}
		return err
	})
	if agents, err := api.Agents(t.Context()); err != nil || len(agents) == 0 {
		t.Errorf("there are %d agents, %v", len(agents), err)
	}
	run(t, api, "shop", "sleep 600") // deleting the project cancels it
	accepted, err := api.ChangeProject(t.Context(), client.DeleteProject("shop"), true)
	if err != nil {
		t.Fatal(err)
	}
	ended(t, api, accepted.ID, contract.Completed)
}

// follow reads the log from its beginning on, and waits for an event.
func follow(t *testing.T, api *client.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for event, err := range api.Events(ctx, client.EventFilter{From: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Entity == contract.EntityOperation && event.Type == "cancelled" {
			return
		}
	}
}

func running(ctx context.Context, api *client.Client, id string) error {
	operation, err := api.Operation(ctx, id, 0)
	if err == nil && operation.State != contract.Running {
		err = fmt.Errorf("it is %s", operation.State)
	}
	return err
}

// webhook has an event delivered at the second attempt, and removes the endpoint.
func webhook(t *testing.T, url, key string) {
	t.Helper()
	api := dial(t, url, key)
	create(t, api, "web")
	calls := make(chan string, 16)
	var refused bool
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !refused {
			refused = true
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		calls <- r.Header.Get("webhook-id")
	}))
	defer target.Close()
	made := map[string]any{}
	call(t, http.MethodPost, url+"/webhooks", key, `{"url":"`+target.URL+`","events":["operation.completed"]}`, &made)
	said(t, api, "web", "true")
	select {
	case <-calls:
	case <-time.After(testkit.Patience):
		t.Error("the webhook is not called")
	}
	at := url + "/webhooks/" + made["id"].(string) //nolint:forcetypeassert // fails the test
	for _, path := range []string{url + "/webhooks", at, at + "/deliveries"} {
		call(t, http.MethodGet, path, key, "", &map[string]any{})
	}
	call(t, http.MethodDelete, at, key, "", nil)
}

func call(t *testing.T, method, url, key, body string, answer any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", key)
	response, err := (&http.Client{Timeout: testkit.Patience}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s", method, url, response.Status)
	}
	if answer != nil {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
}
