package buildspec_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

// FuzzParse: whatever comes, there is a build that can be carried out or an error that says
// why not, and what is taken the schema takes, too.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "TARGET", "production")
	}
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, text []byte, name, value string) {
		build, err := parse(text, nil)
		if err != nil && name != "" {
			build, err = parse(text, map[string]string{name: value})
		}
		if err != nil {
			problems(t, err)
			return
		}
		check(t, build)
		seen, err := asJSON(text)
		if err != nil {
			if strings.Contains(err.Error(), "excessive aliasing") {
				return
			}
			t.Fatalf("is taken, and is no YAML: %v", err)
		}
		if err := schema.Validate(seen); err != nil {
			t.Fatalf("is taken, and the schema says %v", err)
		}
	})
}

// check is what holds for every build.
func check(t *testing.T, build contract.Build) {
	t.Helper()
	encoded, err := json.Marshal(build)
	if err != nil || len(encoded) > 400<<10 || len(build.Steps) == 0 || len(build.Steps) > contract.MaxBuildSteps || build.Timeout <= 0 || build.Priority == "" {
		t.Fatalf("%d steps, %d bytes, timeout %v, priority %q, %v", len(build.Steps), len(encoded), build.Timeout, build.Priority, err)
	}
	names, kinds := map[string]bool{}, map[string]bool{}
	for _, step := range build.Steps {
		if names[step.Name] || step.State != contract.StepPending || !contract.IsWork(step.Kind) || step.MaxAttempts < 1 || step.Backoff <= 0 {
			t.Fatalf("%+v", step)
		}
		names[step.Name], kinds[step.Of] = true, true
		things := 0
		for _, set := range []bool{step.Command.Shell != nil, step.Command.Agent != nil, step.Command.Git != nil, step.Command.Image != nil, step.Command.Deploy != nil} {
			if set {
				things++
			}
		}
		if things != 1 {
			t.Fatalf("step %s does %d things", step.Name, things)
		}
		for name, value := range build.Params {
			if step.Command.Env[name] != value {
				t.Fatalf("step %s has not the parameter %s", step.Name, name)
			}
		}
		for name, value := range step.Matrix {
			if step.Command.Env[name] != value || !strings.Contains(step.Name, value) {
				t.Fatalf("step %s has not the value %s", step.Name, value)
			}
		}
	}
	facts := func(step contract.BuildStep, state contract.StepState) buildspec.Facts {
		needs := map[string]contract.StepState{}
		for _, name := range step.Needs {
			needs[name] = state
		}
		return buildspec.Facts{Params: build.Params, Matrix: step.Matrix, Needs: needs}
	}
	// All end, whatever becomes of each: none waits for itself, or for what is not there.
	ended := map[string]bool{}
	for len(ended) < len(kinds) {
		before := len(ended)
		for _, step := range build.Steps {
			ready := true
			for _, name := range step.Needs {
				ready = ready && ended[name]
			}
			if !ready {
				continue
			}
			for _, state := range []contract.StepState{contract.StepCompleted, contract.StepFailed, contract.StepSkipped} {
				if _, err := buildspec.Met(step.If, facts(step, state)); err != nil && !strings.Contains(step.If, "matches") {
					t.Fatalf("the condition of step %s: %v", step.Name, err)
				}
			}
			ended[step.Of] = true
		}
		if len(ended) == before {
			t.Fatalf("only %v can end", ended)
		}
	}
}

// FuzzJSON: a text arrives as it is, however JSON writes it.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{"a", "\n", "\u2028\u0085\ufeff\x7f", "🚀", "\"\\/", "$", "\\u0041", "<<", "# a: b", "\u008b\uffff\U0001ffff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || strings.Contains(text, "\x00") || text == "" || len(text) > 1000 {
			return
		}
		asIs, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, written := range []string{string(asIs), ascii(text)} {
			build, err := parse(fmt.Appendf(nil, "{\t\"steps\":[{\"name\" :\"a\",\n\"run\":%s,\"env\":{\"A\":%s}}]}", written, written), nil)
			if err != nil {
				t.Fatalf("%s: %s", written, problems(t, err))
			}
			if got := build.Steps[0].Command; got.Shell.Script != text || got.Env["A"] != text {
				t.Errorf("%s comes as %q and %q", written, got.Shell.Script, got.Env["A"])
			}
		}
	})
}

// ascii is a text in JSON that has only the characters of ASCII.
func ascii(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r < 0x20 || r == '"' || r == '\\' || r >= 0x7f {
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
			continue
		}
		out.WriteRune(r)
	}
	return `"` + strings.ReplaceAll(out.String(), "/", `\/`) + `"`
}
