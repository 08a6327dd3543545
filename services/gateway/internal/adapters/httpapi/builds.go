package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

// BuildRequest is the body of POST /builds.
type BuildRequest struct {
	Project string `json:"project"`
	// Spec is the specification: an object, or a string with the text of a file.
	Spec   json.RawMessage   `json:"spec"`
	Params map[string]string `json:"params"`
}

// text is the specification as it was written.
func (b BuildRequest) text() ([]byte, error) {
	if spec := bytes.TrimSpace(b.Spec); len(spec) == 0 || spec[0] != '"' {
		return b.Spec, nil
	}
	var text string
	err := json.Unmarshal(b.Spec, &text)
	return []byte(text), err
}

// build checks the request, and is what it asks for.
func (b BuildRequest) build() (contract.Build, error) {
	v := validate.New()
	v.Required("project", b.Project)
	v.Slug("project", b.Project)
	text, err := b.text()
	v.Check("spec", err == nil && len(text) > 0, "is required: the build, as an object or as a string with the text of its file")
	if err := v.Err(); err != nil {
		return contract.Build{}, err
	}
	return parseBuild(text, b.Params)
}

func (h *handlers) runBuild(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[BuildRequest](w, r)
	if err != nil {
		return err
	}
	dry, err := queryFlag(r, "dry_run")
	if err != nil {
		return err
	}
	build, err := request.build()
	if err != nil {
		return err
	}
	if err := requireProject(passOf(r), request.Project); err != nil {
		return err
	}
	if dry {
		api.Write(w, http.StatusOK, map[string]any{"build": app.Pinned(build)})
		return nil
	}
	if err := h.limitStart(w, r, request.Project); err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.RunBuild(ctx, asker, request.Project, build)
	})
}

func queryFlag(r *http.Request, name string) (bool, error) {
	value := r.URL.Query().Get(name)
	if value == "" {
		return false, nil
	}
	set, err := strconv.ParseBool(value)
	if err != nil {
		return false, invalidQuery(name, "must be true or false")
	}
	return set, nil
}

// listBuilds is listOperations of builds alone, without what their steps are to do.
func (h *handlers) listBuilds(w http.ResponseWriter, r *http.Request) error {
	query, err := listOperationsQuery(r)
	if err != nil {
		return err
	}
	query.Kind = contract.KindBuild
	page, err := h.operations(r, query)
	if err != nil {
		return err
	}
	builds := make([]Operation, 0, len(page.Operations))
	for _, op := range page.Operations {
		builds = append(builds, buildSummary(op))
	}
	writeSeen(w, page.ProjectedSeq, page.Stale)
	api.Write(w, http.StatusOK, map[string]any{"builds": builds, "next_cursor": page.NextCursor})
	return nil
}

// loadBuild reads the build in the path, which the key may see.
func (h *handlers) loadBuild(ctx context.Context, r *http.Request) (contract.Operation, error) {
	id := chi.URLParam(r, "build")
	if !validate.IsID(id) {
		return contract.Operation{}, app.NoBuild(id)
	}
	return h.loadSort(ctx, r, id, func(op contract.Operation) bool { return op.Build != nil }, app.NoBuild)
}

func (h *handlers) getBuild(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	op, err := h.loadBuild(ctx, r)
	if err != nil {
		return err
	}
	writeOperation(w, http.StatusOK, h.awaitPreferred(w, r, op))
	return nil
}

func (h *handlers) cancelBuild(w http.ResponseWriter, r *http.Request) error {
	return h.accept(w, r, func(ctx context.Context, _ app.Asker) (app.Accepted, error) {
		op, err := h.loadBuild(ctx, r)
		if err != nil {
			return app.Accepted{}, err
		}
		return h.App.Cancel(ctx, op.ID)
	})
}

// rerunRequest is the body of POST /builds/{build}/rerun.
type rerunRequest struct {
	From string `json:"from"` // a step that runs again although it has completed, and all that need it
	All  bool   `json:"all"`  // of them
}

func (h *handlers) rerunBuild(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	op, err := h.loadBuild(ctx, r)
	if err != nil {
		return err
	}
	var request rerunRequest
	if r.ContentLength != 0 {
		if request, err = api.DecodeJSON[rerunRequest](w, r); err != nil {
			return err
		}
	}
	v := validate.New()
	v.Check("all", !request.All || request.From == "", "must not be given together with from")
	if err := v.Err(); err != nil {
		return err
	}
	if err := h.limitStart(w, r, op.Project); err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.RerunBuild(ctx, asker, op, app.Rerun{From: request.From, All: request.All})
	})
}

// getBuildSchema answers the JSON Schema of specifications. It needs no key, so that an
// editor can read it.
func (h *handlers) getBuildSchema(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/schema+json")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write(buildspec.Schema())
}

// buildSummary is a build without what its steps are to do: for what shows many, or one
// often.
func buildSummary(op contract.Operation) Operation {
	if op.Build == nil {
		return view(op)
	}
	build := *op.Build
	build.Steps = make([]contract.BuildStep, len(op.Build.Steps))
	for i, step := range op.Build.Steps {
		build.Steps[i] = contract.BuildStep{
			Name: step.Name, Of: step.Of, Needs: step.Needs, AllowFailure: step.AllowFailure, State: step.State, Operation: step.Operation, Reused: step.Reused,
			StartedAt: step.StartedAt, FinishedAt: step.FinishedAt, ExitCode: step.ExitCode, Failure: step.Failure, Commit: step.Commit,
		}
	}
	op.Build = &build
	return view(op)
}
