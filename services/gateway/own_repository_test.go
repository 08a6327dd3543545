package gateway_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

func TestTheRepositoryOfAProjectNeedsNoURLAndNoCredentials(t *testing.T) {
	w := newWorld(t)
	const url = "https://git.example.com/rdev/shop.git"
	w.has("shop", contract.Project{Resources: []contract.Resource{
		{Name: "repository", Action: "create", External: map[string]string{"clone_url": url}}, {Name: "access", External: map[string]string{"user": "bot"}},
	}})
	w.ready("blog")
	three := contract.RepositoryCredentials()
	send := func(path, body, key string) answer {
		return w.send(call{path: path, body: body, header: map[string]string{"Idempotency-Key": key}})
	}
	check := func(what string, op operation, command *contract.Command, got string) {
		t.Helper()
		if got != url || !slices.Equal(command.Credentials, three) {
			t.Errorf("%s of %s is for %q with %q", what, op.ID, got, command.Credentials)
		}
	}
	const clone = `{"kind":"git","verb":"clone","depth":1}`
	op := send("/projects/shop/commands", clone, "clone").operation(t, http.StatusAccepted)
	check("the clone", op, op.Command, op.Command.Git.URL)
	again := send("/projects/shop/commands", clone, "clone")
	if same := again.operation(t, http.StatusAccepted); same.ID != op.ID || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the same request made %s, too", same.ID)
	}
	send("/projects/shop/commands", `{"kind":"git","verb":"clone","url":"`+url+`","depth":1}`, "clone").problem(t, http.StatusConflict, contract.CodeIdempotencyMismatch)
	op = send("/projects/shop/commands", `{"kind":"git","verb":"push"}`, "push").operation(t, http.StatusAccepted)
	check("the push", op, op.Command, url)

	op = send("/work", `{"kind":"test","project":"shop","repository":{"ref":"main"},"argv":["true"]}`, "work").operation(t, http.StatusAccepted)
	check("the work", op, op.Command, op.Work.Repository.URL)
	const spec = `
repository: {ref: main}
steps:
  - {name: one, run: make}
  - {name: two, run: make}
  - {name: pushes, repository: none, git: {verb: clone}}
`
	built := w.build("shop", spec)
	for _, step := range built.Build.Steps {
		of := step.Repository
		if git := step.Command.Git; git != nil {
			of = &contract.Repository{URL: git.URL}
		}
		check("step "+step.Name, built, &step.Command, of.URL)
	}
	if len(built.Build.Steps) != 4 || built.Build.Repository.URL != url {
		t.Errorf("the build is %+v", built.Build)
	}

	for path, body := range map[string]string{
		"/projects/blog/commands": clone,
		"/work":                   `{"kind":"test","project":"blog","repository":{},"argv":["true"]}`,
		"/builds":                 `{"project":"blog","spec":{"repository":{"ref":"main"},"steps":[{"name":"one","run":"make"}]}}`,
	} {
		a := w.send(call{path: path, body: body})
		a.problem(t, http.StatusConflict, contract.CodeConflict)
		if !strings.Contains(string(a.body), "project blog has no repository: give url") {
			t.Errorf("%s says %s", path, a.body)
		}
	}
}
