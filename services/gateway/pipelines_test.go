package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

// wholePipeline is a pipeline that has all that one can have.
func wholePipeline(number int64) contract.Pipeline {
	at := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	return contract.Pipeline{
		Number: number, Status: contract.PipelineFailure, Event: "push", Branch: "main", Ref: "refs/heads/main", Commit: "0f6d", Message: "m", Author: "a",
		URL: "https://ci.example/repos/1/pipeline/7", CreatedAt: at, StartedAt: &at, FinishedAt: &at,
		Errors: []contract.PipelineProblem{{Message: "old", Warning: true}},
		Workflows: []contract.PipelineWorkflow{{Name: "woodpecker", Status: contract.PipelineFailure, Steps: []contract.PipelineStep{
			{ID: 21, Name: "test", Type: "commands", Status: contract.PipelineFailure, ExitCode: 1},
		}}},
	}
}

func TestPipelinesAreAskedOfTheProvisioner(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	s := w.schemas()
	var asked any
	next := "7-1"
	serve(w, contract.ServiceProvisioner, contract.VerbListPipelines, func(r contract.ListPipelines) (contract.PipelineList, error) {
		asked = r
		return contract.PipelineList{Pipelines: []contract.Pipeline{{Number: 7, Status: contract.PipelinePending, CreatedAt: time.Now().UTC()}}, NextCursor: &next}, nil
	})
	for verb, status := range map[string]contract.PipelineStatus{contract.VerbGetPipeline: contract.PipelineFailure, contract.VerbRerunPipeline: contract.PipelinePending, contract.VerbCancelPipeline: contract.PipelineKilled} {
		serve(w, contract.ServiceProvisioner, verb, func(r contract.GetPipeline) (contract.Pipeline, error) {
			asked = r
			p := wholePipeline(r.Number)
			p.Status = status
			if status == contract.PipelinePending {
				p.Number++
			}
			return p, nil
		})
	}
	serve(w, contract.ServiceProvisioner, contract.VerbPipelineLogs, func(r contract.GetPipelineLogs) (contract.PipelineLogs, error) {
		asked = r
		return contract.PipelineLogs{Lines: []string{"one", "<two>"}}, nil
	})
	for _, c := range []struct {
		method, path, schema, location string
		status                         int
		want                           any
	}{
		{"GET", "?limit=5&cursor=c", "PipelineList", "", 200, contract.ListPipelines{Project: "shop", Limit: 5, Cursor: "c"}},
		{"GET", "/7", "Pipeline", "", 200, contract.GetPipeline{Project: "shop", Number: 7}},
		{"POST", "/7/rerun", "Pipeline", "/projects/shop/pipelines/8", 201, contract.GetPipeline{Project: "shop", Number: 7}},
		{"POST", "/7/cancel", "Pipeline", "", 200, contract.GetPipeline{Project: "shop", Number: 7}},
		{"GET", "/7/logs/21?cursor=2", "PipelineLogs", "", 200, contract.GetPipelineLogs{Project: "shop", Number: 7, Step: 21, Cursor: "2"}},
	} {
		asked = nil
		a := w.send(call{method: c.method, path: "/projects/shop/pipelines" + c.path})
		var body json.RawMessage
		a.decode(t, c.status, &body)
		s.check(c.schema, body)
		if diff := cmp.Diff(c.want, asked); diff != "" || a.header.Get("Location") != c.location {
			t.Errorf("%s %s, Location %q: %s", c.method, c.path, a.header.Get("Location"), diff)
		}
	}
	asked = nil
	for _, path := range []string{"/x", "/0", "/-1", "/7/logs/x", "/7/logs/0", "/1.5", "/99999999999999999999"} {
		w.get("/projects/shop/pipelines"+path).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
	w.get("/projects/Shop/pipelines").problem(t, http.StatusNotFound, contract.CodeNotFound)
	w.get("/projects/shop/pipelines?limit=0").problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "limit")
	w.get("/projects/shop/pipelines/7?x=1").problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "x")
	if asked != nil {
		t.Errorf("asked %+v", asked)
	}
}

func TestAPipelineIsStartedOncePerIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	var all []contract.RunPipeline
	serve(w, contract.ServiceProvisioner, contract.VerbRunPipeline, func(r contract.RunPipeline) (contract.PipelineStarted, error) {
		replayed := false
		for _, before := range all {
			replayed = replayed || r.Request != "" && before.Request == r.Request
		}
		all = append(all, r)
		if r.Branch == "push-only" {
			return contract.PipelineStarted{}, &contract.Error{Code: contract.CodeConflict, Detail: "the branch push-only has no pipeline for the event manual"}
		}
		return contract.PipelineStarted{Pipeline: wholePipeline(9), Replayed: replayed}, nil
	})
	const body = `{"branch":"main","variables":{"TARGET":"staging"}}`
	w.schemas().check("RunPipeline", []byte(body))
	other := w.newKey(`{"name":"other","scopes":["projects:write"]}`).Secret
	for i, c := range []struct{ key, idempotency, replayed string }{{"", "", ""}, {"", "k", ""}, {"", "k", "true"}, {other, "k", ""}, {"", "", ""}} {
		a := w.send(call{path: "/projects/shop/pipelines", body: body, key: c.key, header: map[string]string{"Idempotency-Key": c.idempotency}})
		var p contract.Pipeline
		a.decode(t, http.StatusCreated, &p)
		if a.header.Get("Idempotency-Replayed") != c.replayed || a.header.Get("Location") != "/projects/shop/pipelines/9" || p.Number != 9 {
			t.Errorf("%d: %v %s", i, a.header, a.body)
		}
	}
	if all[0].Request != "" || all[1].Request != all[2].Request || all[1].Request == all[3].Request || all[1].Project != "shop" || all[1].Branch != "main" || all[1].Variables["TARGET"] != "staging" {
		t.Errorf("%+v", all)
	}
	w.send(call{path: "/projects/shop/pipelines", body: `{"branch":"push-only"}`}).problem(t, http.StatusConflict, contract.CodeConflict)
	for _, wrong := range []string{`{"brunch":"main"}`, `{`, `{"variables":{"A":1}}`} {
		w.send(call{path: "/projects/shop/pipelines", body: wrong}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest)
	}
}
