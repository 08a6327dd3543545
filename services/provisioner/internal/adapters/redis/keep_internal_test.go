package redis

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// view is one project.
type view struct {
	app.View

	project contract.Project
}

func (v view) List(_ context.Context, _ []string, after string, _ int) ([]contract.Project, error) {
	if after != "" {
		return nil, nil
	}
	return []contract.Project{v.project}, nil
}

// kept is the credential of that project.
type kept struct {
	app.Secrets

	url string
}

func (k kept) Has(context.Context, string, string) (bool, error) { return true, nil }

func (k kept) Values(context.Context, string, ...string) (map[string]string, error) {
	return map[string]string{contract.CacheURL: k.url}, nil
}

// forget restarts the server without the users that it had saved.
func (w *world) forget() {
	w.t.Helper()
	w.Kill()
	saved, err := os.ReadFile(w.ACLFile)
	if err != nil {
		w.t.Fatal(err)
	}
	var lines string
	for line := range strings.Lines(string(saved)) {
		if !strings.HasPrefix(line, "user rdev-") {
			lines += line
		}
	}
	if lines == string(saved) {
		w.t.Fatal("it had saved none")
	}
	if err := os.WriteFile(w.ACLFile, []byte(lines), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.Start()
}

func TestAUserThatTheServerForgotIsLetInAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.server()
	made := w.create(s, "shop")
	project := contract.Project{Slug: "shop", State: contract.ProjectReady, Resources: []contract.Resource{
		{Name: contract.ResourceCache, External: map[string]string{contract.ExternalUser: made.User}},
	}}
	a := &app.App{View: view{project: project}, Steps: []app.Step{app.CacheStep{Caches: s, Secrets: kept{url: made.URL}}}}
	keep := func(when string, want int) {
		t.Helper()
		if restored, err := a.KeepCaches(t.Context()); restored != want || err != nil {
			t.Errorf("%s: %d, %v", when, restored, err)
		}
		if err := w.client(made.URL).Set(t.Context(), made.Prefix+"x", 1, 0).Err(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	keep("as it was", 0)
	w.forget()
	if err := w.client(made.URL).Ping(t.Context()).Err(); !refused(err) {
		t.Fatalf("it has forgotten nothing: %v", err)
	}
	keep("forgotten", 1)
	if !w.saved(made.User) {
		t.Error("it is forgotten by the next restart")
	}
	keep("restarted", 0)

	// A replica has the keys of its master, and none of its users.
	w.do("SET", made.Prefix+"x", 1)
	w.do("ACL", "DELUSER", made.User)
	err := s.Drop(t.Context(), "shop")
	if known, ok := errors.AsType[*app.StepError](err); !ok || known.Failure.Class != contract.ClassUser || !strings.Contains(err.Error(), "the server has forgotten the user") {
		t.Errorf("dropped where there are keys alone: %v", err)
	}
	keep("with keys", 1)
	if err := s.Drop(t.Context(), "shop"); err != nil || w.there() != "" {
		t.Errorf("dropped: %v; left is %s", err, w.there())
	}
	w.Kill()
	if _, err := a.KeepCaches(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), made.URL) {
		t.Errorf("where there is no server: %v", err)
	}
}
