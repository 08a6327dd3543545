package gatewaytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// withDatabase ends the slugs of projects that are made with a database.
const withDatabase = "-db"

func (g *Gateway) hasProject(slug string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.projects, slug)
}

// describe is a project. One with a slug that says so has a database.
func describe(slug string) map[string]any {
	var database any
	if strings.HasSuffix(slug, withDatabase) {
		database = map[string]any{"name": "project_" + slug, "host": "db.example:5432"}
	}
	return map[string]any{
		"slug": slug, "state": "ready", "template": "default", "created_at": "2026-11-25T10:00:00Z",
		"repository": nil, "domains": []string{}, "database": database, "cache": nil, "runtime": map[string]any{"kind": "local", "workspace": "/srv/" + slug},
	}
}

func (g *Gateway) listProjects(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []map[string]any{}
	for _, slug := range g.projects {
		list = append(list, describe(slug))
	}
	answer(w, http.StatusOK, map[string]any{"projects": list, "next_cursor": nil})
}

func (g *Gateway) getProject(w http.ResponseWriter, r *http.Request) {
	if !g.hasProject(r.PathValue("project")) {
		notFound(w, "project", r.PathValue("project"))
		return
	}
	answer(w, http.StatusOK, describe(r.PathValue("project")))
}

func (g *Gateway) createProject(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Slug     string
		Database bool
	}
	if err := json.Unmarshal(readBody(r), &body); err != nil || body.Slug == "Bad" || body.Database != strings.HasSuffix(body.Slug, withDatabase) {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the request is not valid",
			contract.FieldError{Field: "slug", Message: "must be 1 to 40 of a-z, 0-9 and -"})
		return
	}
	g.start(w, r, "project.create", body.Slug, nil, func(op *operation) {
		g.projects = append(g.projects, body.Slug)
		g.change(op, "completed")
	})
}

func (g *Gateway) deleteProject(w http.ResponseWriter, r *http.Request) {
	slug := r.PathValue("project")
	if !g.hasProject(slug) {
		notFound(w, "project", slug)
		return
	}
	g.start(w, r, "project.delete", slug, nil, func(op *operation) {
		g.projects = slices.DeleteFunc(g.projects, func(s string) bool { return s == slug })
		g.change(op, "completed")
	})
}
