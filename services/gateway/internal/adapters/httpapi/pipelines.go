package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
)

// Pipelines are run by the CI, which the provisioner asks.
type Pipelines interface {
	ListPipelines(ctx context.Context, list contract.ListPipelines) (contract.PipelineList, error)
	Pipeline(ctx context.Context, which contract.GetPipeline) (contract.Pipeline, error)
	RunPipeline(ctx context.Context, run contract.RunPipeline) (contract.PipelineStarted, error)
	RerunPipeline(ctx context.Context, which contract.GetPipeline) (contract.Pipeline, error)
	CancelPipeline(ctx context.Context, which contract.GetPipeline) (contract.Pipeline, error)
	PipelineLogs(ctx context.Context, of contract.GetPipelineLogs) (contract.PipelineLogs, error)
}

// runPipelineRequest is the body of POST /projects/{project}/pipelines.
type runPipelineRequest struct {
	Branch    string            `json:"branch"` // that of the repository where empty
	Variables map[string]string `json:"variables"`
}

func (h *handlers) listPipelines(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := h.Queries.ListPipelines(r.Context(), contract.ListPipelines{Project: slug, Limit: limit, Cursor: r.URL.Query().Get("cursor")})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, page)
	return nil
}

// runPipeline starts one pipeline for each idempotency key.
func (h *handlers) runPipeline(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[runPipelineRequest](w, r)
	if err != nil {
		return err
	}
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	run := contract.RunPipeline{Project: slug, Branch: request.Branch, Variables: request.Variables}
	if asker.IdempotencyKey != "" {
		run.Request = asker.RequestID()
	}
	started, err := h.Queries.RunPipeline(r.Context(), run)
	if err != nil {
		return err
	}
	if started.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	writeStarted(w, slug, started.Pipeline)
	return nil
}

func (h *handlers) getPipeline(w http.ResponseWriter, r *http.Request) error {
	which, err := pipelineOf(r)
	if err != nil {
		return err
	}
	pipeline, err := h.Queries.Pipeline(r.Context(), which)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, pipeline)
	return nil
}

func (h *handlers) rerunPipeline(w http.ResponseWriter, r *http.Request) error {
	which, err := pipelineOf(r)
	if err != nil {
		return err
	}
	pipeline, err := h.Queries.RerunPipeline(r.Context(), which)
	if err != nil {
		return err
	}
	writeStarted(w, which.Project, pipeline)
	return nil
}

func (h *handlers) cancelPipeline(w http.ResponseWriter, r *http.Request) error {
	which, err := pipelineOf(r)
	if err != nil {
		return err
	}
	pipeline, err := h.Queries.CancelPipeline(r.Context(), which)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, pipeline)
	return nil
}

func (h *handlers) getPipelineLogs(w http.ResponseWriter, r *http.Request) error {
	which, err := pipelineOf(r)
	if err != nil {
		return err
	}
	step, err := numberOf(r, "step")
	if err != nil {
		return err
	}
	logs, err := h.Queries.PipelineLogs(r.Context(), contract.GetPipelineLogs{
		Project: which.Project, Number: which.Number, Step: step, Cursor: r.URL.Query().Get("cursor"),
	})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, logs)
	return nil
}

// writeStarted answers with a new pipeline, and where it is.
func writeStarted(w http.ResponseWriter, project string, pipeline contract.Pipeline) {
	w.Header().Set("Location", "/projects/"+project+"/pipelines/"+strconv.FormatInt(pipeline.Number, 10))
	api.Write(w, http.StatusCreated, pipeline)
}

// pipelineOf is the pipeline in the path.
func pipelineOf(r *http.Request) (contract.GetPipeline, error) {
	slug, err := slugOf(r)
	if err != nil {
		return contract.GetPipeline{}, err
	}
	number, err := numberOf(r, "pipeline")
	return contract.GetPipeline{Project: slug, Number: number}, err
}

// numberOf is a number in the path. What is none names nothing.
func numberOf(r *http.Request, parameter string) (int64, error) {
	number, err := strconv.ParseInt(chi.URLParam(r, parameter), 10, 64)
	if err != nil || number < 1 {
		return 0, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no " + parameter + " of that number"}
	}
	return number, nil
}
