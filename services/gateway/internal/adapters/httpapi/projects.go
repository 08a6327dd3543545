package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

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
