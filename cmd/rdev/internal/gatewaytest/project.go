package gatewaytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// zone is the domain of the gateway's installation, whose records it keeps.
const zone = "example.com"

// projectRoutes are those of projects, and of what they have.
func (g *Gateway) projectRoutes(mux *http.ServeMux) {
	const at = "/projects/{project}"
	mux.HandleFunc("GET /projects", g.listProjects)
	mux.HandleFunc("POST /projects", g.createProject)
	mux.HandleFunc("GET "+at, g.inProject(g.viewed(func(view map[string]any) any { return view })))
	mux.HandleFunc("GET "+at+"/domains", g.inProject(g.viewed(func(view map[string]any) any { return map[string]any{"domains": view["domains"]} })))
	mux.HandleFunc("GET "+at+"/components", g.inProject(g.viewed(func(view map[string]any) any { return map[string]any{"components": view["components"]} })))
	mux.HandleFunc("GET "+at+"/drift", g.inProject(g.drift))
	mux.HandleFunc("DELETE "+at, g.changing(contract.KindProjectDelete, deletion))
	mux.HandleFunc("POST "+at+"/repair", g.changing(contract.KindProjectRepair, nil))
	mux.HandleFunc("POST "+at+"/domains", g.changing(contract.KindProjectChange, domainAdded))
	mux.HandleFunc("DELETE "+at+"/domains/{host}", g.changing(contract.KindProjectChange, domainRemoved))
	mux.HandleFunc("POST "+at+"/components", g.changing(contract.KindProjectChange, componentsAdded))
	for name, wish := range map[string]func(*bool) contract.ProjectChange{
		contract.ResourceDatabase: func(has *bool) contract.ProjectChange { return contract.ProjectChange{Database: has} },
		contract.ResourceCache:    func(has *bool) contract.ProjectChange { return contract.ProjectChange{Cache: has} },
	} {
		mux.HandleFunc("POST "+at+"/"+name, g.changing(contract.KindProjectChange, always(wish(new(true)))))
		mux.HandleFunc("DELETE "+at+"/"+name, g.changing(contract.KindProjectChange, always(wish(new(false)))))
		mux.HandleFunc("POST "+at+"/"+name+"/rotate", g.changing(contract.KindProjectChange, always(contract.ProjectChange{Rotate: []string{name}})))
	}
	mux.HandleFunc("POST "+at+"/repository/rotate", g.changing(contract.KindProjectChange, always(contract.ProjectChange{Rotate: []string{contract.ResourceAccess}})))
}

func (g *Gateway) hasProject(slug string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.projects, slug)
}

// project is one that is there. Those of New have a workspace, and nothing else.
func (g *Gateway) project(slug string) *contract.Project {
	if g.made[slug] == nil {
		made := g.newProject(contract.ProjectSpec{Slug: slug, Template: "default"}, contract.ProjectReady)
		made.Resources = []contract.Resource{{Name: contract.ResourceWorkspace, Action: contract.ProvisionCreate, What: "workspace of " + slug}}
		g.made[slug] = made
	}
	return g.made[slug]
}

func (g *Gateway) newProject(spec contract.ProjectSpec, state contract.ProjectState) *contract.Project {
	return &contract.Project{
		Slug: spec.Slug, State: state, Template: spec.Template, Spec: &spec, Runtime: "local", Workspace: "/srv/" + spec.Slug,
		CreatedAt: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC),
	}
}

// Drift has a part of a project be another than it is to be.
func (g *Gateway) Drift(slug, part, difference string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drifts[slug+" "+part] = difference
}

// describe is a project as it is shown.
func (g *Gateway) describe(slug string) map[string]any {
	p := g.project(slug)
	part := func(name string, show func(external map[string]string) any) any {
		if r := p.Resource(name); r != nil {
			return show(r.External)
		}
		return nil
	}
	domains := []map[string]any{}
	for _, d := range p.Spec.Domains {
		domain := map[string]any{
			"host": d.Host, "dns": p.Resource(contract.ResourceDNS+"/"+d.Host) != nil,
			"url": part(contract.ResourceRoute+"/"+d.Host, func(e map[string]string) any { return e[contract.ExternalURL] }),
		}
		if d.AliasOf != "" {
			domain["alias_of"] = d.AliasOf
		}
		domains = append(domains, domain)
	}
	adopted := p.Spec.Repository != nil && p.Spec.Repository.Adopt != ""
	return map[string]any{
		"slug": slug, "state": p.State, "template": p.Template, "created_at": p.CreatedAt,
		"repository": part(contract.ResourceRepository, func(e map[string]string) any {
			return map[string]any{"name": e[contract.ExternalName], "clone_url": e[contract.ExternalCloneURL], "url": e[contract.ExternalURL], "branch": e[contract.ExternalBranch], "adopted": adopted}
		}),
		"ci":         part(contract.ResourceCI, func(e map[string]string) any { return map[string]any{"url": e[contract.ExternalURL]} }),
		"components": append([]contract.Component{}, p.Spec.Components...),
		"domains":    domains,
		"database": part(contract.ResourceDatabase, func(e map[string]string) any {
			return map[string]any{"name": e[contract.ExternalDatabase], "host": e[contract.ExternalHost]}
		}),
		"cache": part(contract.ResourceCache, func(e map[string]string) any {
			return map[string]any{"user": e[contract.ExternalUser], "prefix": e[contract.ExternalPrefix], "host": e[contract.ExternalHost]}
		}),
		"runtime": map[string]any{"kind": p.Runtime, "workspace": p.Workspace},
	}
}

func (g *Gateway) listProjects(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []map[string]any{}
	for _, slug := range g.projects {
		list = append(list, g.describe(slug))
	}
	answer(w, http.StatusOK, map[string]any{"projects": list, "next_cursor": nil})
}

// viewed answers something of the project in the path.
func (g *Gateway) viewed(show func(view map[string]any) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, show(g.describe(r.PathValue("project"))))
	}
}

// drift compares a project with what its repair would do.
func (g *Gateway) drift(w http.ResponseWriter, r *http.Request) {
	slug := r.PathValue("project")
	p := g.project(slug)
	found := contract.ProjectDifferences{Project: slug, Resources: []contract.ResourceDifference{}}
	steps, _, _ := g.foresee(contract.KindProjectRepair, p, *p.Spec, contract.ProjectChange{})
	for _, step := range steps {
		difference := contract.ResourceDifference{Name: step.Name, What: step.What, State: contract.DifferenceDiffers, Differences: step.Differences}
		if step.Action == contract.ProvisionRemove {
			difference.State, difference.Differences = contract.DifferenceLeftover, []string{"it is to be removed"}
		}
		found.Resources = append(found.Resources, difference)
	}
	found.Drift = len(found.Resources) > 0
	for _, had := range p.Resources {
		if !slices.ContainsFunc(steps, func(s contract.ProvisionStep) bool { return s.Name == had.Name }) {
			found.Resources = append(found.Resources, contract.ResourceDifference{Name: had.Name, What: had.What, State: contract.DifferenceNone})
		}
	}
	answer(w, http.StatusOK, found)
}

// always is a change that no body says anything about.
func always(change contract.ProjectChange) func(*http.Request) (contract.ProjectChange, error) {
	return func(*http.Request) (contract.ProjectChange, error) { return change, nil }
}

func decode[T any](r *http.Request) (T, error) {
	var body T
	return body, json.Unmarshal(readBody(r), &body)
}
