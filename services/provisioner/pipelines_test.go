package provisioner_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
)

// inCI puts the project shop into the log, with the repository that the CI has as id.
func (w *world) inCI(id int64) {
	w.t.Helper()
	_, err := w.conn.UpdateProject(w.t.Context(), "shop", func(*contract.Project) (string, contract.Project, error) {
		return contract.TypeProjectCreated, contract.Project{
			Slug: "shop", Template: "default", Runtime: contract.RuntimeLocal, Workspace: "/srv/shop", CreatedAt: time.Now().UTC(), UpdatedAt: time.Now().UTC(), Operation: "o",
			Resources: []contract.Resource{
				{Name: contract.ResourceRepository, Action: contract.ProvisionCreate, What: "repository rdev/shop", External: map[string]string{contract.ExternalID: "2"}},
				{Name: contract.ResourceCI, Action: contract.ProvisionCreate, What: "pipelines", External: map[string]string{contract.ExternalID: strconv.FormatInt(id, 10)}},
			},
		}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestPipelinesAreAskedOfTheCI(t *testing.T) {
	ci := woodpeckertest.New(func(string) (string, bool) { return "", false })
	defer ci.Close()
	w := stopped(t)
	w.cfg.Far.Woodpecker.URL, w.cfg.Far.Woodpecker.TokenFile = ci.URL, filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(w.cfg.Far.Woodpecker.TokenFile, []byte(woodpeckertest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.await()
	w.inCI(ci.Activate("2", "rdev/shop"))

	run := contract.RunPipeline{Project: "shop", Variables: map[string]string{"TARGET": "staging"}, Request: "r"}
	for _, replayed := range []bool{false, true} {
		started, err := ask[contract.RunPipeline, contract.PipelineStarted](w, contract.VerbRunPipeline, run)
		if err != nil || started.Replayed != replayed || started.Pipeline.Number != 1 || started.Pipeline.Status != contract.PipelinePending {
			t.Fatalf("%+v, %v", started, err)
		}
	}
	one := contract.GetPipeline{Project: "shop", Number: 1}
	step := ci.Say("rdev/shop", 1, "+ make")
	p, err := ask[contract.GetPipeline, contract.Pipeline](w, contract.VerbGetPipeline, one)
	if err != nil || p.Workflows[0].Steps[0].ID != step {
		t.Errorf("%+v, %v", p, err)
	}
	logs, err := ask[contract.GetPipelineLogs, contract.PipelineLogs](w, contract.VerbPipelineLogs, contract.GetPipelineLogs{Project: "shop", Number: 1, Step: step})
	if err != nil || len(logs.Lines) != 1 || logs.Lines[0] != "+ make" {
		t.Errorf("%+v, %v", logs, err)
	}
	if p, err = ask[contract.GetPipeline, contract.Pipeline](w, contract.VerbCancelPipeline, one); err != nil || p.Status != contract.PipelineCanceled {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = ask[contract.GetPipeline, contract.Pipeline](w, contract.VerbRerunPipeline, one); err != nil || p.Number != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	list, err := ask[contract.ListPipelines, contract.PipelineList](w, contract.VerbListPipelines, contract.ListPipelines{Project: "shop", Limit: 1})
	if err != nil || len(list.Pipelines) != 1 || list.Pipelines[0].Number != 2 || list.NextCursor == nil {
		t.Errorf("%+v, %v", list, err)
	}
	ci.Expire(true)
	_, err = ask[contract.GetPipeline, contract.Pipeline](w, contract.VerbGetPipeline, one)
	refused(t, err, contract.CodeUnavailable, "PROVISIONER_WOODPECKER_TOKEN_FILE")
	_, err = ask[contract.GetPipeline, contract.Pipeline](w, contract.VerbGetPipeline, contract.GetPipeline{Project: "blog", Number: 1})
	refused(t, err, contract.CodeNotFound, "there is no project blog")
}

func TestWithoutACIPipelinesSayWhatToSet(t *testing.T) {
	w := newWorld(t)
	w.await()
	w.inCI(1)
	for _, verb := range []string{
		contract.VerbListPipelines, contract.VerbGetPipeline, contract.VerbRunPipeline, contract.VerbRerunPipeline, contract.VerbCancelPipeline, contract.VerbPipelineLogs,
	} {
		_, err := ask[contract.ListPipelines, struct{}](w, verb, contract.ListPipelines{Project: "shop"})
		refused(t, err, contract.CodeUnavailable, "PROVISIONER_WOODPECKER_URL", "PROVISIONER_WOODPECKER_TOKEN_FILE")
	}
}
