package agents_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recording is a run of a real CLI, as testdata/<provider>/<case>.* holds it.
type recording struct {
	provider, name string
	stdout, stderr []byte
	end            agents.End
}

func (r recording) String() string { return r.provider + "/" + r.name }

func recordings(t testing.TB) []recording {
	t.Helper()
	metas, err := filepath.Glob("testdata/*/*.meta.json")
	if err != nil || len(metas) == 0 {
		t.Fatalf("find recordings: %d, %v", len(metas), err)
	}
	var found []recording
	for _, path := range metas {
		base := strings.TrimSuffix(path, ".meta.json")
		r := recording{provider: filepath.Base(filepath.Dir(path)), name: filepath.Base(base)}
		r.stdout, r.stderr = readIfThere(t, base+".jsonl"), readIfThere(t, base+".stderr.txt")
		var meta struct {
			ExitCode int  `json:"exit_code"`
			TimedOut bool `json:"timed_out"`
		}
		if err := json.Unmarshal(readIfThere(t, path), &meta); err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		r.end = agents.End{ExitCode: &meta.ExitCode}
		if meta.ExitCode < 0 {
			r.end = agents.End{Signal: map[int]string{-9: "SIGKILL", -15: "SIGTERM"}[meta.ExitCode]}
		}
		switch {
		case meta.TimedOut: // the recorder's own limit
			r.end.Stopped = agents.StopTimeout
		case strings.HasPrefix(r.name, "control-interrupt"):
			r.end.Stopped = agents.StopCancelled
		}
		found = append(found, r)
	}
	return found
}

func readIfThere(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}

// parse feeds a recording in pieces of a size.
func (r recording) parse(t testing.TB, size int) []contract.AgentEvent {
	t.Helper()
	driver, ok := agents.Lookup(r.provider)
	if !ok {
		t.Fatalf("no agent is called %q", r.provider)
	}
	parser, at := driver.NewParser(), time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	var events []contract.AgentEvent
	for piece := range slices.Chunk(r.stdout, size) {
		events = append(events, parser.Stdout(piece, at)...)
	}
	for piece := range slices.Chunk(r.stderr, size) {
		parser.Stderr(piece)
	}
	return append(events, parser.Result(r.end)...)
}

func encode(t testing.TB, events []contract.AgentEvent) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for _, event := range events {
		if err := encoder.Encode(event); err != nil {
			t.Fatalf("encode event %d: %v", event.Seq, err)
		}
	}
	return out.Bytes()
}

func TestRecordedRunsBecomeTheEventsOfTheirGoldenFiles(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.String(), func(t *testing.T) {
			got := encode(t, r.parse(t, 4096))
			golden := filepath.Join("testdata", "golden", r.provider, r.name+".jsonl")
			if *update {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(readIfThere(t, golden)), string(got)); diff != "" {
				t.Errorf("events differ from %s (-golden +got); -update writes it anew:\n%s", golden, diff)
			}
		})
	}
}

func TestEventsDoNotDependOnWhereOutputIsCut(t *testing.T) {
	for _, r := range recordings(t) {
		if whole, pieces := encode(t, r.parse(t, 1<<20)), encode(t, r.parse(t, 7)); !bytes.Equal(whole, pieces) {
			t.Errorf("%s in pieces of 7 bytes (-whole +pieces):\n%s", r, cmp.Diff(string(whole), string(pieces)))
		}
	}
}

func TestEveryRunHasOneResultAndItIsLast(t *testing.T) {
	for _, r := range recordings(t) {
		checkRun(t, r.String(), r.parse(t, 4096))
	}
}

// checkRun checks what holds for the events of every run.
func checkRun(t testing.TB, name string, events []contract.AgentEvent) {
	t.Helper()
	for i, event := range events {
		if event.Seq != i+1 {
			t.Errorf("%s: event %d has number %d", name, i+1, event.Seq)
		}
		if (event.Type == contract.AgentResult) != (i == len(events)-1) {
			t.Errorf("%s: event %d of %d is a %s", name, i+1, len(events), event.Type)
		}
		data, err := json.Marshal(event)
		if err != nil || len(data) > contract.MaxChunk {
			t.Errorf("%s: event %d takes %d bytes: %v", name, i+1, len(data), err)
		}
	}
}

func TestNoLineOfARecordedRunIsUnknown(t *testing.T) {
	raw := map[string]int{}
	for _, r := range recordings(t) {
		for _, event := range r.parse(t, 4096) {
			if event.Type == contract.AgentRaw {
				raw[r.String()]++
			}
		}
	}
	// The one output that is no stream of lines: a JSON document on 71 lines.
	want := map[string]int{"gemini/json-format": 71}
	if diff := cmp.Diff(want, raw); diff != "" {
		t.Errorf("raw events by run (-want +got):\n%s", diff)
	}
}

func TestEveryToolResultFollowsItsCall(t *testing.T) {
	for _, r := range recordings(t) {
		calls := map[string]string{}
		for _, event := range r.parse(t, 4096) {
			switch event.Type {
			case contract.AgentToolCall:
				calls[event.ToolCall] = event.Tool
			case contract.AgentToolResult:
				if tool, ok := calls[event.ToolCall]; !ok || tool != event.Tool || tool == "" {
					t.Errorf("%s: result of %q, %q after the calls %v", r, event.ToolCall, event.Tool, calls)
				}
			}
		}
	}
}

// TestRunsEndAsTheyWereSeenToEnd compares with testdata/expected.txt, in which
// every line was checked by hand against the recording.
func TestRunsEndAsTheyWereSeenToEnd(t *testing.T) {
	var got strings.Builder
	for _, r := range recordings(t) {
		got.WriteString(summary(r, r.parse(t, 4096)) + "\n")
	}
	if diff := cmp.Diff(string(readIfThere(t, "testdata/expected.txt")), got.String()); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
}

// summary is a line like "codex/write succeeded end_turn turns=2 in=2468/2000/0
// out=112(14) cost=- text:2 usage:1".
func summary(r recording, events []contract.AgentEvent) string {
	result := events[len(events)-1]
	parts := []string{r.String(), result.Status, result.StopReason}
	if result.HTTPStatus != 0 {
		parts = append(parts, "http="+strconv.Itoa(result.HTTPStatus))
	}
	if result.Failure != nil {
		parts = append(parts, "class="+string(result.Failure.Class))
	}
	if result.Turns > 0 {
		parts = append(parts, "turns="+strconv.Itoa(result.Turns))
	}
	if u := result.Usage; u != nil {
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		cost := "-"
		if u.CostUSD != nil {
			cost = strconv.FormatFloat(*u.CostUSD, 'f', 6, 64)
		}
		parts = append(parts,
			"in="+number(u.InputTokens)+"/"+number(u.CacheReadTokens)+"/"+number(u.CacheWriteTokens),
			"out="+number(u.OutputTokens)+"("+number(u.ReasoningTokens)+")", "cost="+cost)
	}
	counts := map[string]int{}
	for _, event := range events[:len(events)-1] {
		counts[event.Type]++
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, kind+":"+strconv.Itoa(counts[kind]))
	}
	return strings.Join(parts, " ")
}
