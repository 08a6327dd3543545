package gatewaytest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// createProject plays the creation of a project at once. Its slug and its domains decide what
// becomes of it, and of changes:
//
//	slow…       nobody waits for it: it is answered as it was accepted
//	taken.org   is a domain of another project: the plan says so
//	broken.org  has no route, and all is removed again
//	stuck.org   has no route, and the domain cannot be removed again
func (g *Gateway) createProject(w http.ResponseWriter, r *http.Request) {
	body, err := decode[newProject](r)
	if err != nil {
		refuse(w, err)
		return
	}
	spec, err := body.spec()
	if err == nil && !g.replays(r) && g.hasProject(spec.Slug) {
		err = &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("project %s exists already", spec.Slug)}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	g.provision(w, r, contract.Operation{Kind: contract.KindProjectCreate, Project: spec.Slug, Spec: &spec})
}

// changing has a change of the project in the path, which a request says, planned or played.
func (g *Gateway) changing(kind string, read func(*http.Request) (contract.ProjectChange, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		op := contract.Operation{Kind: kind, Project: r.PathValue("project")}
		if !g.replays(r) && !g.hasProject(op.Project) {
			notFound(w, "project", op.Project)
			return
		}
		if read != nil {
			change, err := read(r)
			if err != nil {
				refuse(w, err)
				return
			}
			op.Change = &change
		}
		g.provision(w, r, op)
	}
}

// replays tells whether a request has come before.
func (g *Gateway) replays(r *http.Request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, known := g.byKey[r.Header.Get("Idempotency-Key")]
	return known
}

// provision plans an operation on a project, or plays it.
func (g *Gateway) provision(w http.ResponseWriter, r *http.Request, wanted contract.Operation) {
	g.mu.Lock()
	p, change := &contract.Project{Spec: &contract.ProjectSpec{}}, contract.ProjectChange{}
	if wanted.Kind != contract.KindProjectCreate {
		p = g.project(wanted.Project)
	}
	if wanted.Change != nil {
		change = *wanted.Change
	}
	spec := *p.Spec
	if wanted.Spec != nil {
		spec = *wanted.Spec
	}
	steps, target, refused := g.foresee(wanted.Kind, p, spec, change)
	g.mu.Unlock()
	if r.URL.Query().Get("dry_run") == "true" {
		if refused != nil {
			refuse(w, &contract.Error{Code: contract.CodeInvalidRequest, Detail: refused.Message})
			return
		}
		ok := !slices.ContainsFunc(steps, func(s contract.ProvisionStep) bool { return s.Failure != nil })
		answer(w, http.StatusOK, contract.ProjectPlan{Project: wanted.Project, Kind: wanted.Kind, OK: ok, Steps: append([]contract.ProvisionStep{}, steps...)})
		return
	}
	g.start(w, r, wanted, func(op *operation) {
		if i := slices.IndexFunc(steps, func(s contract.ProvisionStep) bool { return s.Failure != nil }); i >= 0 && refused == nil {
			refused = contract.NewFailure(steps[i].Failure.Class, "%s of %s: %s", steps[i].Name, wanted.Project, steps[i].Failure.Message)
		}
		if refused != nil {
			op.now.Failure = refused
			g.change(op, contract.TypeFailed)
			return
		}
		g.playSteps(op, p, target, steps)
	})
}

// playSteps applies steps, then removes what is to go; after a failure it undoes what was made.
func (g *Gateway) playSteps(op *operation, p *contract.Project, target contract.ProjectSpec, steps []contract.ProvisionStep) {
	record := func() {
		op.now.Provisioning = slices.Clone(steps)
		g.change(op, contract.TypeProvisioned)
	}
	record()
	creates := op.now.Kind == contract.KindProjectCreate
	if creates {
		p = g.newProject(target, contract.ProjectReady)
	}
	for i := range steps {
		s := &steps[i]
		if s.Action.Ends() {
			continue
		}
		s.At = g.clock()
		if s.Name == contract.ResourceRoute+"/broken.org" || s.Name == contract.ResourceRoute+"/stuck.org" {
			s.Failure = contract.NewFailure(contract.ClassUser, "the %s was not made: its name leads elsewhere", s.What)
			op.now.Undo = s.Failure
			break
		}
		s.State, s.External = contract.ProvisionApplied, external(p.Slug, *s)
		delete(g.drifts, p.Slug+" "+s.Name)
		if s.Action == contract.ProvisionCreate || s.Action == contract.ProvisionAdopt {
			p.Resources = append(p.Resources, contract.Resource{Name: s.Name, Action: s.Action, What: s.What, External: s.External})
		}
		record()
	}
	if op.now.Undo != nil {
		g.undoSteps(op, p, steps, record)
		return
	}
	for i := range slices.Backward(steps) {
		if s := &steps[i]; s.Action.Ends() {
			s.State, s.At = contract.ProvisionUndone, g.clock()
			p.Resources = slices.DeleteFunc(p.Resources, func(r contract.Resource) bool { return r.Name == s.Name })
			record()
		}
	}
	p.Spec = &target
	switch {
	case creates:
		g.made[p.Slug], g.projects = p, append(g.projects, p.Slug)
	case target.Slug == "":
		delete(g.made, p.Slug)
		g.projects = slices.DeleteFunc(g.projects, func(s string) bool { return s == p.Slug })
	}
	g.change(op, contract.TypeCompleted)
}

// undoSteps removes what steps have made, but for the domain stuck.org, and fails the operation.
func (g *Gateway) undoSteps(op *operation, p *contract.Project, steps []contract.ProvisionStep, record func()) {
	record()
	failure, left := *op.now.Undo, ""
	for i := range slices.Backward(steps) {
		s := &steps[i]
		if s.Action != contract.ProvisionCreate {
			continue
		}
		s.State, s.At = contract.ProvisionUndone, g.clock()
		if s.Name == contract.ResourceHost+"/stuck.org" {
			s.State, s.Failure, left = contract.ProvisionLeft, contract.NewFailure(contract.ClassInfrastructure, "the database is away"), s.What
		} else {
			p.Resources = slices.DeleteFunc(p.Resources, func(r contract.Resource) bool { return r.Name == s.Name })
		}
		record()
	}
	if left != "" {
		failure.Message += "; left, for it could not be removed: " + left
	}
	if left != "" && op.now.Kind == contract.KindProjectCreate {
		failure.Message += fmt.Sprintf("; once that can be mended, `rdev projects repair %s` removes it", p.Slug)
		p.State = contract.ProjectDeleting
		g.made[p.Slug], g.projects = p, append(g.projects, p.Slug)
	}
	op.now.Failure = &failure
	g.change(op, contract.TypeFailed)
}

// external is what a part has where it is.
func external(slug string, step contract.ProvisionStep) map[string]string {
	name, host, _ := strings.Cut(step.Name, "/")
	switch name {
	case contract.ResourceRepository:
		full := strings.TrimPrefix(step.What, "repository ")
		return map[string]string{
			contract.ExternalID: "7", contract.ExternalName: full, contract.ExternalCloneURL: "https://git." + zone + "/" + full + ".git",
			contract.ExternalURL: "https://git." + zone + "/" + full, contract.ExternalBranch: "main",
		}
	case contract.ResourceAccess:
		return map[string]string{contract.ExternalUser: "project-" + slug}
	case contract.ResourceCI:
		return map[string]string{contract.ExternalID: "3", contract.ExternalURL: "https://ci." + zone + "/repos/3"}
	case contract.ResourceDatabase:
		return map[string]string{contract.ExternalDatabase: "project_" + slug, contract.ExternalRole: "project_" + slug, contract.ExternalHost: "db.example:5432"}
	case contract.ResourceCache:
		return map[string]string{contract.ExternalUser: "project-" + slug, contract.ExternalPrefix: slug + ":", contract.ExternalHost: "redis.example:6379"}
	case contract.ResourceTemplate, contract.ResourceComponents:
		return map[string]string{contract.ExternalCommit: "0f6d3b9e1c2a4f5e8d7c6b5a49382716f0e1d2c3"}
	case contract.ResourceDNS:
		return map[string]string{contract.ExternalID: "r"}
	case contract.ResourceRoute:
		return map[string]string{contract.ExternalURL: "https://" + host}
	}
	return nil
}
