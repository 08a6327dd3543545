package agents_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

func FuzzClaudeCode(f *testing.F) { fuzzParser(f, "claude-code") }
func FuzzOpenCode(f *testing.F)   { fuzzParser(f, "opencode") }
func FuzzCodex(f *testing.F)      { fuzzParser(f, "codex") }
func FuzzGemini(f *testing.F)     { fuzzParser(f, "gemini") }

// fuzzParser checks what holds whatever a CLI prints and however it ends.
func fuzzParser(f *testing.F, provider string) {
	f.Helper()
	for _, r := range recordings(f) {
		if r.provider == provider && len(r.stdout) < 1<<13 {
			f.Add(r.stdout, r.stderr, 0)
		}
	}
	f.Add([]byte("{}\n[]\nnull\n1\n\"\"\n{\"type\":1}\nnot JSON\n"), []byte("\x1b[91m\xff"), 1)
	f.Add([]byte(`{"type":"result","stats":null,"part":null}`), []byte(nil), -9)
	f.Fuzz(func(t *testing.T, stdout, stderr []byte, exit int) {
		driver, ok := agents.Lookup(provider)
		if !ok {
			t.Fatalf("no agent is called %q", provider)
		}
		parse := func(size int) []contract.AgentEvent {
			parser := driver.NewParser()
			var events []contract.AgentEvent
			for piece := range slices.Chunk(stdout, size) {
				events = append(events, parser.Stdout(piece, time.Time{})...)
			}
			parser.Stderr(stderr)
			if totals := parser.Totals(); totals.Turns < 0 {
				t.Errorf("%d turns", totals.Turns)
			}
			return append(events, parser.Result(agents.End{ExitCode: &exit})...)
		}
		events := parse(len(stdout) + 1)
		checkRun(t, provider, events)
		result := events[len(events)-1]
		if failed := result.Status == contract.AgentFailed; failed != (result.Failure != nil) {
			t.Errorf("%s with the failure %+v", result.Status, result.Failure)
		}
		if result.Status == contract.AgentSucceeded && exit != 0 {
			t.Errorf("it succeeded with exit %d", exit)
		}
		for _, event := range events {
			if event.Input != nil && !json.Valid(event.Input) {
				t.Errorf("the input %q is no JSON", event.Input)
			}
		}
		if whole, pieces := encode(t, events), encode(t, parse(31)); !bytes.Equal(whole, pieces) {
			t.Errorf("pieces make a difference:\n%s", cmp.Diff(string(whole), string(pieces)))
		}
		var out bytes.Buffer
		if err := agents.Parse(provider, &exit, bytes.NewReader(stdout), &out); err != nil {
			t.Errorf("parse: %v", err)
		}
	})
}
