package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// pipelineRoutes are those of projects, which all have the same pipelines.
func (g *Gateway) pipelineRoutes(mux *http.ServeMux) {
	const at = "/projects/{project}/pipelines"
	mux.HandleFunc("GET "+at, g.inProject(g.listPipelines))
	mux.HandleFunc("POST "+at, g.inProject(g.runPipeline))
	mux.HandleFunc("GET "+at+"/{pipeline}", g.inProject(g.pipeline(func(w http.ResponseWriter, _ *http.Request, p *contract.Pipeline) { answer(w, http.StatusOK, p) })))
	mux.HandleFunc("POST "+at+"/{pipeline}/rerun", g.inProject(g.pipeline(func(w http.ResponseWriter, _ *http.Request, p *contract.Pipeline) {
		answer(w, http.StatusCreated, g.startPipeline(p.Event, p.Branch))
	})))
	mux.HandleFunc("POST "+at+"/{pipeline}/cancel", g.inProject(g.pipeline(cancelPipeline)))
	mux.HandleFunc("GET "+at+"/{pipeline}/logs/{step}", g.inProject(g.pipeline(pipelineLogs)))
}

// startPipeline adds a pipeline with the steps clone and test. The first one has ended
// with success, the next ones wait.
func (g *Gateway) startPipeline(event, branch string) *contract.Pipeline {
	now := time.Now().UTC()
	number := int64(len(g.pipelines) + 1)
	p := &contract.Pipeline{
		Number: number, Status: contract.PipelinePending, Event: event, Branch: branch, Commit: "0f6d3b9e1c2a4f5e8d7c6b5a49382716f0e1d2c3",
		Message: "Add a cart\x1b[2J", Author: "rdev", URL: fmt.Sprintf("https://ci.example/repos/1/pipeline/%d", number), CreatedAt: now,
	}
	if number == 1 {
		p.Status, p.StartedAt, p.FinishedAt = contract.PipelineSuccess, &now, &now
		p.Errors = []contract.PipelineProblem{{Message: "steps.test: image is deprecated", Warning: true}}
	}
	steps := []contract.PipelineStep{{ID: 10*number + 1, Name: "clone", Type: "clone", Status: p.Status}, {ID: 10*number + 2, Name: "test", Type: "commands", Status: p.Status}}
	p.Workflows = []contract.PipelineWorkflow{{Name: "woodpecker", Status: p.Status, Steps: steps}}
	g.pipelines = append(g.pipelines, p)
	return p
}

func (g *Gateway) runPipeline(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Branch    string
		Variables map[string]string
	}
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	switch key := "pipeline " + r.Header.Get("Idempotency-Key"); {
	case body.Branch == "push-only":
		problem(w, http.StatusConflict, "CONFLICT", "the branch push-only has no pipeline for the event manual")
	case g.byKey[key] != "":
		w.Header().Set("Idempotency-Replayed", "true")
		number, _ := strconv.Atoi(g.byKey[key])
		answer(w, http.StatusCreated, g.pipelines[number-1])
	default:
		if body.Branch == "" {
			body.Branch = "main"
		}
		p := g.startPipeline("manual", body.Branch)
		g.byKey[key] = strconv.FormatInt(p.Number, 10)
		answer(w, http.StatusCreated, p)
	}
}

// listPipelines answers two at a time, so that clients have to turn pages.
func (g *Gateway) listPipelines(w http.ResponseWriter, r *http.Request) {
	behind, err := strconv.ParseInt(r.URL.Query().Get("cursor"), 10, 64)
	list := contract.PipelineList{Pipelines: []contract.Pipeline{}}
	for _, p := range slices.Backward(g.pipelines) {
		if err == nil && p.Number >= behind {
			continue
		}
		if len(list.Pipelines) == 2 {
			next := strconv.FormatInt(p.Number+1, 10)
			list.NextCursor = &next
			break
		}
		brief := *p
		brief.Errors, brief.Workflows = nil, nil
		list.Pipelines = append(list.Pipelines, brief)
	}
	answer(w, http.StatusOK, list)
}

// pipeline finds the pipeline of the path.
func (g *Gateway) pipeline(next func(http.ResponseWriter, *http.Request, *contract.Pipeline)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, p := range g.pipelines {
			if strconv.FormatInt(p.Number, 10) == r.PathValue("pipeline") {
				next(w, r, p)
				return
			}
		}
		problem(w, http.StatusNotFound, "NOT_FOUND", "there is no pipeline "+r.PathValue("pipeline")+" of project "+r.PathValue("project"))
	}
}

func cancelPipeline(w http.ResponseWriter, r *http.Request, p *contract.Pipeline) {
	if p.Status.Ended() && !p.Status.Stopped() {
		problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("pipeline %d of project %s has ended: it is %s", p.Number, r.PathValue("project"), p.Status))
		return
	}
	p.Status = contract.PipelineCanceled
	answer(w, http.StatusOK, p)
}

// pipelineLogs answers three lines, two on the first page.
func pipelineLogs(w http.ResponseWriter, r *http.Request, p *contract.Pipeline) {
	step := r.PathValue("step")
	if step != strconv.FormatInt(10*p.Number+1, 10) && step != strconv.FormatInt(10*p.Number+2, 10) {
		notFound(w, "step", step)
		return
	}
	if r.URL.Query().Get("cursor") == "2" {
		answer(w, http.StatusOK, contract.PipelineLogs{Lines: []string{"the end of step " + step}})
		return
	}
	next := "2"
	answer(w, http.StatusOK, contract.PipelineLogs{Lines: []string{"+ make", ""}, NextCursor: &next})
}
