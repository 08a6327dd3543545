package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// runs are the pipelines of the repository 7.
type runs struct {
	all  map[int64]contract.Pipeline
	logs []string
	err  error // of every call

	asked  app.CIOf
	run    contract.RunPipeline
	limit  int
	cursor string
	// cancel is what becomes of a pipeline that is cancelled, and what is said.
	cancel func(contract.Pipeline) (contract.Pipeline, error)
}

func (r *runs) List(_ context.Context, of app.CIOf, cursor string, limit int) ([]contract.Pipeline, string, error) {
	r.asked, r.cursor, r.limit = of, cursor, limit
	next := ""
	if cursor == "" {
		next = "c"
	}
	return slices.Collect(maps.Values(r.all)), next, r.err
}

func (r *runs) Get(_ context.Context, of app.CIOf, number int64) (contract.Pipeline, error) {
	r.asked = of
	p, ok := r.all[number]
	if !ok {
		return p, contract.ErrNotFound
	}
	return p, r.err
}

func (r *runs) Run(_ context.Context, of app.CIOf, run contract.RunPipeline) (contract.PipelineStarted, error) {
	r.asked, r.run = of, run
	return contract.PipelineStarted{Pipeline: contract.Pipeline{Number: 9}}, r.err
}

func (r *runs) Rerun(ctx context.Context, of app.CIOf, number int64) (contract.Pipeline, error) {
	if _, err := r.Get(ctx, of, number); err != nil {
		return contract.Pipeline{}, err
	}
	return contract.Pipeline{Number: 9}, nil
}

func (r *runs) Cancel(_ context.Context, _ app.CIOf, number int64) (err error) {
	r.all[number], err = r.cancel(r.all[number])
	return err
}

func (r *runs) Logs(context.Context, app.CIOf, int64, int64) ([]string, error) { return r.logs, r.err }

// withCI is a provisioner with the project shop, whose repository the CI has as 7.
func withCI() (*app.App, *log, *runs) {
	events := &log{project: &contract.Project{Slug: "shop", State: contract.ProjectReady, Resources: []contract.Resource{
		{Name: contract.ResourceRepository, External: map[string]string{contract.ExternalID: "2"}},
		{Name: contract.ResourceCI, External: map[string]string{contract.ExternalID: "7"}},
	}}}
	ci := &runs{all: map[int64]contract.Pipeline{1: {Number: 1, Status: contract.PipelineRunning}}}
	return &app.App{Projects: events, Pipelines: ci}, events, ci
}

// wantError wants an error of the API with some words.
func wantError(t *testing.T, err error, code contract.Code, words string) {
	t.Helper()
	known, ok := errors.AsType[*contract.Error](err)
	if !ok || known.Code != code || !strings.Contains(known.Detail, words) {
		t.Errorf("%v, want %s: …%s…", err, code, words)
	}
}

// everyCall asks for all that can be asked of pipelines.
func everyCall(ctx context.Context, a *app.App, project string) map[string]error {
	one := contract.GetPipeline{Project: project, Number: 1}
	all := map[string]error{}
	_, all["list"] = a.ListPipelines(ctx, contract.ListPipelines{Project: project})
	_, all["get"] = a.GetPipeline(ctx, one)
	_, all["run"] = a.RunPipeline(ctx, contract.RunPipeline{Project: project})
	_, all["rerun"] = a.RerunPipeline(ctx, one)
	_, all["cancel"] = a.CancelPipeline(ctx, one)
	_, all["logs"] = a.PipelineLogs(ctx, contract.GetPipelineLogs{Project: project, Number: 1, Step: 2})
	return all
}

func TestPipelinesAreThoseOfTheProjectsRepository(t *testing.T) {
	a, _, ci := withCI()
	ci.cancel = func(p contract.Pipeline) (contract.Pipeline, error) {
		p.Status = contract.PipelineKilled
		return p, nil
	}
	for what, err := range everyCall(t.Context(), a, "shop") {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if want := (app.CIOf{ID: "7", Forge: "2"}); ci.asked != want {
		t.Errorf("asked of %+v", ci.asked)
	}
	list, err := a.ListPipelines(t.Context(), contract.ListPipelines{Project: "shop", Limit: 1000})
	if err != nil || ci.limit != contract.MaxPage || *list.NextCursor != "c" || len(list.Pipelines) != 1 {
		t.Errorf("%+v, %v, of %d", list, err, ci.limit)
	}
	ci.all = nil
	list, err = a.ListPipelines(t.Context(), contract.ListPipelines{Project: "shop", Cursor: "c"})
	if err != nil || ci.limit != contract.DefaultPage || ci.cursor != "c" || list.NextCursor != nil || list.Pipelines == nil {
		t.Errorf("%+v, %v, of %d", list, err, ci.limit)
	}
	_, err = a.GetPipeline(t.Context(), contract.GetPipeline{Project: "shop", Number: 3})
	wantError(t, err, contract.CodeNotFound, "there is no pipeline 3 of project shop")
}

func TestWithoutACIPipelinesSayWhatIsMissing(t *testing.T) {
	a, events, ci := withCI()
	for what, c := range map[string]struct {
		change func()
		code   contract.Code
		words  string
	}{
		"no CI":              {func() { a.Pipelines = nil }, contract.CodeUnavailable, "set PROVISIONER_WOODPECKER_URL and PROVISIONER_WOODPECKER_TOKEN_FILE"},
		"no CI of the":       {func() { events.project.Resources = events.project.Resources[:1] }, contract.CodeNotFound, "project shop has no CI"},
		"no id":              {func() { events.project.Resources[1].External = nil }, contract.CodeNotFound, "project shop has no CI"},
		"deleted":            {func() { events.project.State = contract.ProjectDeleted }, contract.CodeNotFound, "there is no project shop"},
		"never there":        {func() { events.project = nil }, contract.CodeNotFound, "there is no project shop"},
		"the CI is away":     {func() { ci.err = errors.New("connection refused") }, contract.CodeUnavailable, "connection refused"},
		"the token is stale": {func() { ci.err = stepError(contract.ClassAuth) }, contract.CodeUnavailable, "do this"},
		"not now":            {func() { ci.err = stepError(contract.ClassRateLimit) }, contract.CodeUnavailable, "do this"},
		"not so":             {func() { ci.err = stepError(contract.ClassUser) }, contract.CodeConflict, "do this"},
		"in its words":       {func() { ci.err = &contract.Error{Code: contract.CodeIdempotencyMismatch, Detail: "x"} }, contract.CodeIdempotencyMismatch, "x"},
	} {
		a, events, ci = withCI()
		c.change()
		for call, err := range everyCall(t.Context(), a, "shop") {
			t.Run(what+", "+call, func(t *testing.T) { wantError(t, err, c.code, c.words) })
		}
	}
	a, events, ci = withCI()
	events.project.State = contract.ProjectDeleting
	_, err := a.RunPipeline(t.Context(), contract.RunPipeline{Project: "shop"})
	wantError(t, err, contract.CodeConflict, "project shop is being deleted")
	_, err = a.RerunPipeline(t.Context(), contract.GetPipeline{Project: "shop", Number: 1})
	wantError(t, err, contract.CodeConflict, "project shop is being deleted")
	if ci.run.Project != "" {
		t.Error("it was started all the same")
	}
}

func stepError(class contract.FailureClass) error {
	return &app.StepError{Failure: contract.NewFailure(class, "do this")}
}

func TestACancelMeetsAnEnd(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		is, becomes contract.PipelineStatus
		says        error
		want        contract.Code // "" where it went well
	}{
		{contract.PipelineRunning, contract.PipelineKilled, nil, ""},
		{contract.PipelinePending, contract.PipelineCanceled, nil, ""},
		{contract.PipelineBlocked, contract.PipelineKilled, nil, ""},
		{contract.PipelineRunning, contract.PipelineRunning, nil, ""}, // it stops in a moment
		{contract.PipelineKilled, "asked", nil, ""},
		{contract.PipelineCanceled, "asked", nil, ""},
		{contract.PipelineSuccess, "asked", nil, contract.CodeConflict},
		{contract.PipelineDeclined, "asked", nil, contract.CodeConflict},
		{contract.PipelineRunning, contract.PipelineSuccess, refused, contract.CodeConflict},
		{contract.PipelineRunning, contract.PipelineKilled, refused, ""}, // by another, or the answer was lost
		{contract.PipelineRunning, contract.PipelineRunning, refused, contract.CodeUnavailable},
	} {
		a, _, ci := withCI()
		ci.all[1] = contract.Pipeline{Number: 1, Status: c.is}
		ci.cancel = func(p contract.Pipeline) (contract.Pipeline, error) { p.Status = c.becomes; return p, c.says }
		p, err := a.CancelPipeline(t.Context(), contract.GetPipeline{Project: "shop", Number: 1})
		if c.want != "" {
			wantError(t, err, c.want, "")
		} else if err != nil || p.Status != c.becomes && p.Status != c.is {
			t.Errorf("%+v: %+v, %v", c, p, err)
		}
	}
}

func TestWhatCannotBeAPipelineIsRefused(t *testing.T) {
	a, _, ci := withCI()
	many := map[string]string{}
	for i := range 101 {
		many[fmt.Sprintf("V%d", i)] = ""
	}
	for _, c := range []struct {
		branch    string
		variables map[string]string
		field     string
	}{
		{"a b", nil, "branch"},
		{"-f", nil, "branch"},
		{"a\x00", nil, "branch"},
		{strings.Repeat("x", 256), nil, "branch"},
		{"", map[string]string{"A B": ""}, "variables"},
		{"", map[string]string{"1A": ""}, "variables"},
		{"", map[string]string{"": ""}, "variables"},
		{"", map[string]string{app.RequestVariable: "x"}, "variables"},
		{"", many, "variables"},
		{"", map[string]string{"A": strings.Repeat("x", 64<<10)}, "variables"},
	} {
		_, err := a.RunPipeline(t.Context(), contract.RunPipeline{Project: "shop", Branch: c.branch, Variables: c.variables})
		if known, ok := errors.AsType[*contract.Error](err); !ok || known.Code != contract.CodeInvalidRequest || known.Fields[0].Field != c.field {
			t.Errorf("%q %d: %v", c.branch, len(c.variables), err)
		}
	}
	good := contract.RunPipeline{Project: "shop", Branch: "feature/a-b_c.1", Variables: map[string]string{"_a1": "x\ny"}, Request: "r"}
	if _, err := a.RunPipeline(t.Context(), good); err != nil || ci.run.Branch != good.Branch || ci.run.Request != "r" {
		t.Errorf("%+v, %v", ci.run, err)
	}
}

func TestLogsComeInPagesThatFitIntoAReply(t *testing.T) {
	const reply = 1 << 20
	for what, lines := range map[string][]string{
		"none": nil, "a few": {"one", "", "three"}, "empty ones": make([]string, 300_000),
		"controls": slices.Repeat([]string{strings.Repeat("\x1b", 1000)}, 500), "long ones": {strings.Repeat("é", 500_000), "after", strings.Repeat("\x00", 200_000)},
		"no text": slices.Repeat([]string{"\xff\xfe a"}, 100_000),
	} {
		a, _, ci := withCI()
		ci.logs = lines
		var got []string
		request := contract.GetPipelineLogs{Project: "shop", Number: 1, Step: 2}
		for {
			page, err := a.PipelineLogs(t.Context(), request)
			encoded, encodeErr := json.Marshal(page)
			if err != nil || encodeErr != nil || len(encoded) > reply || page.Lines == nil {
				t.Fatalf("%s: %v, %v, %d bytes", what, err, encodeErr, len(encoded))
			}
			got = append(got, page.Lines...)
			if page.NextCursor == nil {
				break
			}
			request.Cursor = *page.NextCursor
		}
		if len(got) != len(lines) {
			t.Errorf("%s: %d lines of %d", what, len(got), len(lines))
		}
		for i := range min(len(got), len(lines)) {
			whole := strings.ToValidUTF8(lines[i], "\uFFFD")
			if beginning, isCut := strings.CutSuffix(got[i], " … (cut)"); got[i] != whole && (!isCut || !strings.HasPrefix(whole, beginning) || len(beginning) < 100_000) {
				t.Errorf("%s: line %d has %d bytes of %d", what, i, len(got[i]), len(whole))
			}
		}
	}
	a, _, _ := withCI()
	for _, cursor := range []string{"x", "-1", "1.5"} {
		_, err := a.PipelineLogs(t.Context(), contract.GetPipelineLogs{Project: "shop", Number: 1, Cursor: cursor})
		wantError(t, err, contract.CodeInvalidRequest, "cursor")
	}
	if page, err := a.PipelineLogs(t.Context(), contract.GetPipelineLogs{Project: "shop", Number: 1, Cursor: "99"}); err != nil || len(page.Lines) != 0 {
		t.Errorf("behind the end: %+v, %v", page, err)
	}
}
