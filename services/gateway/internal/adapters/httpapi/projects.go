package httpapi

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// createProjectRequest is the body of POST /projects.
type createProjectRequest struct {
	Slug       string   `json:"slug"`
	Template   string   `json:"template"` // "default" where empty
	Components []string `json:"components"`
	Domains    []string `json:"domains"`
	Database   bool     `json:"database"`
	Cache      bool     `json:"cache"`
}

// projectView is a project as the API shows it.
type projectView struct {
	contract.Project
	Repository *struct{}   `json:"repository"`
	Domains    []struct{}  `json:"domains"`
	Database   *databaseOf `json:"database"`
	Cache      *struct{}   `json:"cache"`
	Runtime    runtimeOf   `json:"runtime"`
	Workspace  *string     `json:"workspace,omitempty"` // shown under runtime
	Resources  *struct{}   `json:"resources,omitempty"` // each is shown by itself
}

// databaseOf is where the database of a project is. Its credential DATABASE_URL opens it.
type databaseOf struct {
	Name string `json:"name"`
	Host string `json:"host"` // host:port, or the directory of a socket
}

type runtimeOf struct {
	Kind      string `json:"kind"` // local, kube
	Workspace string `json:"workspace"`
}

func viewProject(p contract.Project) projectView {
	view := projectView{Project: p, Domains: []struct{}{}, Runtime: runtimeOf{Kind: p.Runtime, Workspace: p.Workspace}}
	if database := p.Resource(contract.ResourceDatabase); database != nil {
		view.Database = &databaseOf{Name: database.External[contract.ExternalDatabase], Host: database.External[contract.ExternalHost]}
	}
	return view
}

func (h *handlers) createProject(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[createProjectRequest](w, r)
	if err != nil {
		return err
	}
	if request.Template == "" {
		request.Template = "default"
	}
	v := validate.New()
	v.Required("slug", request.Slug)
	v.Slug("slug", request.Slug)
	v.OneOf("template", request.Template, "default")
	const absent = "is not available on this installation"
	v.Check("components", len(request.Components) == 0, absent)
	v.Check("domains", len(request.Domains) == 0, absent)
	v.Check("cache", !request.Cache, absent)
	if err := v.Err(); err != nil {
		return err
	}
	if err := requireProject(passOf(r), request.Slug); err != nil {
		return err
	}
	if err := h.limitStart(w, r, request.Slug); err != nil {
		return err
	}
	spec := contract.ProjectSpec{Slug: request.Slug, Template: request.Template, Database: request.Database}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.CreateProject(ctx, asker, spec)
	})
}

// slugOf is the slug in the path. One that cannot be a project's names nothing,
// and must not become part of a subject.
func slugOf(r *http.Request) (string, error) {
	slug := chi.URLParam(r, "project")
	if !validate.IsSlug(slug) {
		return "", &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project of that name"}
	}
	return slug, nil
}

func (h *handlers) getProject(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	project, err := h.App.Project(r.Context(), slug)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, viewProject(project))
	return nil
}

func (h *handlers) deleteProject(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.DeleteProject(ctx, asker, slug)
	})
}

func (h *handlers) listProjects(w http.ResponseWriter, r *http.Request) error {
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	minSeq, err := queryUint(r, "min_seq")
	if err != nil {
		return err
	}
	page, err := h.Queries.Projects(r.Context(), contract.ListProjects{
		Limit: limit, Cursor: r.URL.Query().Get("cursor"), MinSeq: minSeq, Within: passOf(r).Projects(),
	})
	if err != nil {
		return err
	}
	views := make([]projectView, 0, len(page.Projects))
	for _, p := range page.Projects {
		views = append(views, viewProject(p))
	}
	writeSeen(w, 0, page.Stale)
	api.Write(w, http.StatusOK, map[string]any{"projects": views, "next_cursor": page.NextCursor})
	return nil
}
