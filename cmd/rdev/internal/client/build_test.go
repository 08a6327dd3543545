package client_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
	"github.com/orchard9/rdev/libs/contract"
)

func TestABuildIsStartedOnceAndItsOutputComesOnceFromEachStep(t *testing.T) {
	gateway, c := start(t, "shop")
	gateway.Fail(gatewaytest.Fault{Path: "/builds", Late: true})
	spec := "steps: [{name: a, run: cut 5}, {name: b, run: bytes}, {name: c, agent: {provider: claude-code, prompt: hi}, needs: [a]}]"
	build, err := c.RunBuild(t.Context(), client.NewBuild{Project: "shop", Spec: spec}, "")
	if err != nil {
		t.Fatal(err)
	}
	if page, err := c.Builds(t.Context(), client.OperationFilter{}); err != nil || len(page.Builds) != 1 || page.Builds[0].ID != build.ID {
		t.Errorf("the builds are %v, %v", page.Builds, err)
	}
	said := map[string]string{}
	var states []string
	for output, err := range c.BuildOutput(t.Context(), build.ID, "", 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		switch output.Kind {
		case contract.OutputAgent:
			said[output.Step] += output.Agent.Type + " "
		case client.OutputState, client.OutputEnd:
			states = append(states, string(output.Operation.State))
		default:
			said[output.Step] += string(output.Data)
		}
	}
	want := map[string]string{
		"a": "line 1\nline 2\nline 3\nline 4\nline 5\n", "b": "\xff\x00\xfe", "c": "session tool_call tool_result text result ",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if n := len(states); n < 2 || states[0] != "pending" || states[n-1] != "completed" || slices.Contains(states[:n-1], "completed") {
		t.Errorf("the states are %q", states)
	}
	only := ""
	for output, err := range c.BuildOutput(t.Context(), build.ID, "b", 0, false) {
		if err != nil {
			t.Fatal(err)
		}
		only += output.Step
	}
	if only != "b" {
		t.Errorf("of step b there is the output of %q", only)
	}
}

func TestTheGapsOfStepsAreToldEach(t *testing.T) {
	gap := func(step string, to int) string {
		return fmt.Sprintf("event: gap\ndata: {\"step\":%q,\"operation\":\"x\",\"from\":1,\"to\":%d}\n\n", step, to)
	}
	c, _ := streamOf(t, gap("a", 9)+gap("b", 7)+gap("b", 8)+"id: 9\nevent: stdout\ndata: {\"step\":\"a\",\"data\":\"x\"}\n\n",
		gap("b", 8)+gap("a", 12)+"event: end\ndata: {\"state\":\"completed\"}\n\n")
	var got []string
	for output, err := range c.BuildOutput(t.Context(), "x", "", 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %d", output.Kind, output.Step, output.Gap.To))
	}
	if diff := cmp.Diff([]string{"gap a 9", "gap b 7", "gap b 8", "stdout a 0", "gap a 12", "end  0"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongWithASpecificationHasItsLine(t *testing.T) {
	_, c := start(t, "shop")
	build := client.NewBuild{Project: "shop", Spec: "steps:\n- {name: a, run: echo}\n- name: b\n  needs: [c]\n"}
	want := []client.FieldError{{Field: "steps[1].needs[0]", Message: "names no step", Line: 4}}
	for name, call := range map[string]func() error{
		"run":  func() error { _, err := c.RunBuild(t.Context(), build, ""); return err },
		"plan": func() error { _, err := c.PlanBuild(t.Context(), build); return err },
	} {
		problem, ok := errors.AsType[*client.Problem](call())
		if !ok {
			t.Fatalf("%s: it was taken", name)
		}
		if diff := cmp.Diff(want, problem.Fields); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	build.Spec = "steps: [{name: a, run: echo}]"
	planned, err := c.PlanBuild(t.Context(), build)
	if err != nil || len(planned.Build.Steps) != 1 {
		t.Fatalf("it is %+v, %v", planned, err)
	}
	if text, err := json.Marshal(planned); err != nil || !strings.Contains(string(text), `"max_attempts":1`) {
		t.Errorf("it is written as %s, %v", text, err)
	}
	if page, err := c.Builds(t.Context(), client.OperationFilter{}); err != nil || len(page.Builds) != 0 {
		t.Errorf("a plan is a build: %v, %v", page.Builds, err)
	}
}

// artifactOf serves each body once, the last one over and over, as an artifact that should
// be the text, and tells how often it was asked, and for what.
func artifactOf(t *testing.T, text string, bodies ...string) (c *client.Client, artifact client.Artifact, paths *[]string) {
	t.Helper()
	paths = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*paths = append(*paths, r.URL.EscapedPath())
		body := bodies[min(len(*paths), len(bodies))-1]
		if body == "busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if short, ends := strings.CutSuffix(body, "<end>"); ends {
			body = short
			_ = http.NewResponseController(w).Flush() // says no length
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(max(len(body), len(text))))
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return connect(t, server.URL, ""), client.Artifact{Operation: "op", Artifact: contract.Artifact{
		Path: "a b/ü#%.tar", Size: int64(len(text)), Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))),
	}}, paths
}

func TestAnArtifactComesWholeOrIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		bodies []string
		asked  int
		want   string // of the error
	}{
		"whole":         {[]string{"text"}, 1, ""},
		"cut":           {[]string{"te", "", "text"}, 3, ""},
		"ends early":    {[]string{"te<end>", "text"}, 2, ""},
		"busy":          {[]string{"busy", "text"}, 2, ""},
		"cut for ever":  {[]string{"te"}, 5, "no answer from"},
		"other bytes":   {[]string{"tent"}, 1, "it has sha256:"},
		"more bytes":    {[]string{"text and more"}, 1, "it has more bytes, and should have 4"},
		"cut and other": {[]string{"te", "tent"}, 2, "it has sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			c, artifact, paths := artifactOf(t, "text", test.bodies...)
			var got strings.Builder
			err := c.FetchArtifact(t.Context(), artifact, func() (io.Writer, error) {
				got.Reset()
				return &got, nil
			})
			if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if err == nil && got.String() != "text" {
				t.Errorf("it is %q", got.String())
			}
			if len(*paths) != test.asked || (*paths)[0] != "/operations/op/artifacts/a%20b/%C3%BC%23%25.tar" {
				t.Errorf("asked for %q, want %d times", *paths, test.asked)
			}
		})
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAnArtifactThatCannotBeWrittenIsNotFetchedAgain(t *testing.T) {
	c, artifact, paths := artifactOf(t, "text", "text")
	err := c.FetchArtifact(t.Context(), artifact, func() (io.Writer, error) { return full{}, nil })
	if err == nil || err.Error() != "no space left" || len(*paths) != 1 {
		t.Errorf("error %v after %d requests", err, len(*paths))
	}
}
