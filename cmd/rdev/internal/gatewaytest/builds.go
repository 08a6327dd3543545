package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
)

func (g *Gateway) buildRoutes(mux *http.ServeMux) {
	isBuild := func(op contract.Operation) bool { return op.Build != nil }
	mux.HandleFunc("POST /builds", g.runBuild)
	mux.HandleFunc("GET /builds", func(w http.ResponseWriter, r *http.Request) { g.list(w, r, "builds", "", isBuild) })
	mux.HandleFunc("GET "+schemaPath, g.plain(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["steps"]}`))
	mux.HandleFunc("GET /builds/{id}", g.only("build", isBuild, g.getOperation))
	mux.HandleFunc("POST /builds/{id}/cancel", g.only("build", isBuild, g.cancelBuild))
	mux.HandleFunc("POST /builds/{id}/rerun", g.only("build", isBuild, g.rerunBuild))
	mux.HandleFunc("GET /builds/{id}/output", g.only("build", isBuild, g.output))
	mux.HandleFunc("GET /builds/{id}/artifacts", g.only("build", isBuild, g.listArtifacts))
	mux.HandleFunc("GET /operations/{id}/artifacts", g.listArtifacts)
	mux.HandleFunc("GET /operations/{id}/artifacts/{path...}", g.getArtifact)
}

// schemaPath needs no key.
const schemaPath = "/builds/schema"

// summary is an operation without what its steps are to do, where it has any.
func summary(op contract.Operation) contract.Operation {
	if op.Build == nil {
		return op
	}
	build := *op.Build
	build.Steps = make([]contract.BuildStep, len(op.Build.Steps))
	for i, s := range op.Build.Steps {
		build.Steps[i] = contract.BuildStep{
			Name: s.Name, Of: s.Of, Needs: s.Needs, AllowFailure: s.AllowFailure, State: s.State, Operation: s.Operation, Reused: s.Reused,
			StartedAt: s.StartedAt, FinishedAt: s.FinishedAt, ExitCode: s.ExitCode, Failure: s.Failure,
		}
	}
	op.Build = &build
	return op
}

// runBuild starts a build, or answers what it would be. Its steps are played as work is,
// and what a step has as run is the words of createCommand.
func (g *Gateway) runBuild(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var request struct {
		Project string
		Spec    json.RawMessage
		Params  map[string]string
	}
	if err := json.Unmarshal(readBody(r), &request); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	text := request.Spec
	if spec := ""; json.Unmarshal(request.Spec, &spec) == nil {
		text = []byte(spec)
	}
	build, wrong := readSpec(text, request.Params)
	switch {
	case len(wrong) > 0:
		detail := "the build has 1 error"
		if len(wrong) > 1 {
			detail = fmt.Sprintf("the build has %d errors", len(wrong))
		}
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", detail, wrong...)
	case !slices.Contains(g.projects, request.Project):
		notFound(w, "project", request.Project)
	case r.URL.Query().Get("dry_run") == "true":
		answer(w, http.StatusOK, map[string]any{"build": build})
	default:
		g.startBuild(w, r, request.Project, build)
	}
}

func (g *Gateway) startBuild(w http.ResponseWriter, r *http.Request, project string, build *contract.Build) {
	op, replayed := g.make(r.Header.Get("Idempotency-Key"), contract.Operation{Kind: contract.KindBuild, Project: project, Build: build})
	g.answerQueued(w, op, replayed)
}

func (g *Gateway) cancelBuild(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op := g.find(r.PathValue("id"))
	switch {
	case op.now.State == contract.Cancelled:
		answer(w, http.StatusOK, op.now)
		return
	case op.now.State.Ended():
		problem(w, http.StatusConflict, "CONFLICT", "the operation has ended: "+string(op.now.State))
		return
	}
	g.change(op, contract.TypeCancelRequested)
	answer(w, http.StatusAccepted, op.now)
	for _, step := range op.now.Build.Steps {
		if work := g.find(step.Operation); step.State == contract.StepRunning && !work.now.State.Ended() && !work.stubborn {
			g.change(work, contract.TypeCancelled)
		}
	}
	g.carryOut()
}

func (g *Gateway) rerunBuild(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var which struct {
		From string
		All  bool
	}
	_ = json.Unmarshal(readBody(r), &which)
	old := g.find(r.PathValue("id")).now
	named := func(s contract.BuildStep) bool { return s.Name == which.From || s.Of == which.From }
	switch {
	case !old.State.Ended():
		problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("build %s has not ended: it is %s", old.ID, old.State))
		return
	case which.From != "" && !slices.ContainsFunc(old.Build.Steps, named):
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", fmt.Sprintf("build %s has no step %q", old.ID, which.From),
			contract.FieldError{Field: "from", Message: "names no step of the build"})
		return
	}
	build, anew := *old.Build, map[string]bool{}
	build.RerunOf, build.Steps = old.ID, slices.Clone(old.Build.Steps)
	for i := range build.Steps { // what is needed stands before
		s := &build.Steps[i]
		needs := slices.ContainsFunc(s.Needs, func(name string) bool { return anew[name] })
		if s.State == contract.StepCompleted && !which.All && !named(*s) && !needs {
			s.Reused = true
			continue
		}
		anew[s.Of] = true
		s.State, s.Operation, s.Reused, s.StartedAt, s.FinishedAt, s.ExitCode, s.Failure = contract.StepPending, "", false, nil, nil, nil, nil
	}
	if len(anew) == 0 {
		problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("build %s has completed: say from which step it is to run again, or that all of it is", old.ID))
		return
	}
	g.startBuild(w, r, old.Project, &build)
}

// advanceBuilds takes all builds as far as they go now, and tells whether one went on.
func (g *Gateway) advanceBuilds() (further bool) {
	for _, op := range slices.Clone(g.operations) {
		if op.now.Build != nil && !op.now.State.Ended() {
			further = g.advance(op) || further
		}
	}
	return further
}

// advance ends the steps of a build whose work is over, and starts those that then can; or
// ends it.
func (g *Gateway) advance(op *operation) bool {
	steps, at, changed := slices.Clone(op.now.Build.Steps), g.clock(), false
	var started []*contract.BuildStep
	for i := range steps {
		s := &steps[i]
		if work := g.find(s.Operation); s.State == contract.StepRunning && work.now.State.Ended() {
			s.State, s.FinishedAt, s.ExitCode, s.Failure = contract.StepState(work.now.State), work.now.FinishedAt, work.now.ExitCode, work.now.Failure
			changed = true
		}
	}
	for i := range steps {
		s := &steps[i]
		ended, well := true, true
		for _, need := range steps {
			if slices.Contains(s.Needs, need.Of) {
				ended = ended && need.State.Ended()
				well = well && (need.State == contract.StepCompleted || need.State == contract.StepFailed && need.AllowFailure)
			}
		}
		switch {
		case s.State != contract.StepPending || !ended && !op.now.CancelRequested:
			continue
		case op.now.CancelRequested:
			s.State, s.FinishedAt = contract.StepCancelled, &at
		case !well && s.If != "always()":
			s.State, s.FinishedAt = contract.StepSkipped, &at
		default:
			s.State, s.StartedAt, s.Operation = contract.StepRunning, &at, contract.StepOperation(op.now.ID, i)
			started = append(started, s)
		}
		changed = true
	}
	if !changed {
		return g.endBuild(op)
	}
	_ = g.apply(op, contract.OperationStepped{Steps: steps, At: at})
	for _, s := range started {
		work, _ := g.enqueue("", contract.Operation{
			ID: s.Operation, Kind: s.Kind, Project: op.now.Project, Command: &s.Command, Lane: contract.WorkLane(),
			Work: &contract.Work{
				Priority: op.now.Build.Priority, MaxAttempts: s.MaxAttempts, Backoff: s.Backoff, Files: s.Files,
				Step: &contract.StepOf{Build: op.now.ID, Step: s.Name},
			},
		})
		work.in = op
	}
	return true
}

// endBuild ends a build whose steps have.
func (g *Gateway) endBuild(op *operation) bool {
	if !op.now.Build.Ended() {
		return false
	}
	kind := contract.TypeCompleted
	for _, s := range slices.Backward(op.now.Build.Steps) {
		switch {
		case op.now.CancelRequested || s.State == contract.StepCancelled && kind == contract.TypeCompleted:
			kind = contract.TypeCancelled
		case s.State == contract.StepFailed && !s.AllowFailure:
			kind = contract.TypeFailed
			op.now.Failure = contract.NewFailure(s.Failure.Class, "step %s: %s", s.Name, s.Failure.Message)
		}
	}
	g.change(op, kind)
	return true
}
