package app_test

import (
	"context"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// newest are pipelines of which only the newest is asked for.
type newest struct {
	app.Pipelines
	pipeline contract.Pipeline
	asked    app.CIOf
}

func (n *newest) List(_ context.Context, of app.CIOf, _ string, limit int) ([]contract.Pipeline, string, error) {
	n.asked = of
	if n.pipeline.Number == 0 || limit != 1 {
		return nil, "", nil
	}
	return []contract.Pipeline{n.pipeline}, "", nil
}

// shown is a view of the project that the log has.
type shown struct {
	app.View
	*log
}

func (s shown) List(context.Context, []string, string, int) ([]contract.Project, error) {
	return []contract.Project{*s.project}, nil
}

func TestWhereTheNewestPipelineStandsIsAnEventOfItsProject(t *testing.T) {
	a, l, _ := hosted(contract.KindProjectRepair, contract.ProjectChange{})
	for i, r := range l.project.Resources {
		if r.Name == "ci" {
			l.project.Resources[i].External = map[string]string{"id": "3"}
		}
	}
	n := &newest{}
	a.View, a.Pipelines = shown{log: l}, n
	for i, c := range []struct {
		number int64
		status contract.PipelineStatus
		rev    int
	}{
		{0, "", 1}, // there was none yet
		{7, contract.PipelineRunning, 2},
		{7, contract.PipelineRunning, 2},
		{7, contract.PipelineSuccess, 3},
		{7, contract.PipelineRunning, 3}, // an answer that is late
		{6, contract.PipelineFailure, 3}, // as is this one
		{8, contract.PipelinePending, 4},
	} {
		n.pipeline = contract.Pipeline{Number: c.number, Status: c.status, Branch: "main", Event: "push", Commit: "c0ffee", URL: "https://ci/7"}
		if err := a.WatchPipelines(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l.project.Rev != c.rev || c.rev > 1 && (l.project.Pipeline == nil || l.project.Pipeline.URL != "https://ci/7") || l.project.State != contract.ProjectReady {
			t.Fatalf("%d: the project is %+v, its pipeline %+v", i, l.project, l.project.Pipeline)
		}
	}
	if n.asked.ID != "3" {
		t.Errorf("asked was for %+v", n.asked)
	}
	a.Pipelines = nil
	if err := a.WatchPipelines(t.Context()); err != nil {
		t.Error(err)
	}
}
