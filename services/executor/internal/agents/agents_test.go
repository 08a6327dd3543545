package agents_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

func TestProvidersComeInTheirOrderAndAreFoundByName(t *testing.T) {
	var names []string
	for _, driver := range agents.Providers() {
		info := driver.Info()
		names = append(names, info.Name)
		if found, ok := agents.Lookup(info.Name); !ok || found.Info() != info {
			t.Errorf("looking up %q finds %+v, %t", info.Name, found, ok)
		}
		if info.Version == "" || info.Package == "" || info.Binary == "" || !info.Usage {
			t.Errorf("%+v is incomplete", info)
		}
	}
	if diff := cmp.Diff([]string{"claude-code", "opencode", "codex", "gemini"}, names); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
	if found, ok := agents.Lookup("claude"); !ok || found.Info().Name != "claude-code" {
		t.Errorf("claude is taken for %+v, %t", found, ok)
	}
	if _, ok := agents.Lookup("aider"); ok {
		t.Error("an agent that does not exist is found")
	}
}

func TestCommandsOfNewAndResumedSessions(t *testing.T) {
	place := agents.Place{Home: "/home/agent", Session: "0198-new"}
	fresh := contract.Agent{Prompt: "--help me\nplease"}
	resumed := contract.Agent{
		Prompt: "go on", Model: "big", Session: "--evil",
		Limits: contract.AgentLimits{Turns: 9, CostUSD: 1.5},
	}
	want := map[string][2]string{
		"claude-code": {
			"claude -p --input-format=stream-json --output-format=stream-json --verbose --dangerously-skip-permissions --session-id=0198-new",
			"claude -p --input-format=stream-json --output-format=stream-json --verbose --dangerously-skip-permissions --resume=--evil --model=big --max-turns=9 --max-budget-usd=1.5",
		},
		"opencode": {
			"opencode run --format=json --auto --thinking --title=--help me",
			"opencode run --format=json --auto --thinking --session=--evil --model=big",
		},
		"codex": {
			"codex -c check_for_update_on_startup=false -c analytics.enabled=false --disable plugins exec --json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -",
			"codex -c check_for_update_on_startup=false -c analytics.enabled=false --disable plugins exec --json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox --model=big resume -- --evil -",
		},
		"gemini": {
			"gemini --output-format=stream-json --yolo --skip-trust --session-id=0198-new",
			"gemini --output-format=stream-json --yolo --skip-trust --resume=--evil --model=big",
		},
	}
	for _, driver := range agents.Providers() {
		info := driver.Info()
		for i, agent := range []contract.Agent{fresh, resumed} {
			launch := driver.Command(agent, place)
			command := strings.Join(launch.Argv, " ")
			if _, words, ok := strings.Cut(command, "exec \"$@\" sh "); ok {
				command = strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(words, agent.Session)), " ")
			}
			if diff := cmp.Diff(want[info.Name][i], command); diff != "" {
				t.Errorf("%s (-want +got):\n%s", info.Name, diff)
			}
			if launch.KeepStdin != (launch.Interrupt != nil) {
				t.Errorf("%s: standard input stays open %t, to be interrupted by %q", info.Name, launch.KeepStdin, launch.Interrupt)
			}
			if !strings.Contains(strings.Join(launch.Env, "\n"), "=/home/agent/") {
				t.Errorf("%s keeps nothing in the home: %q", info.Name, launch.Env)
			}
			prompt := string(launch.Stdin)
			if launch.KeepStdin {
				prompt = promptOf(t, launch.Stdin)
			}
			if prompt != agent.Prompt {
				t.Errorf("%s is asked %q", info.Name, prompt)
			}
		}
	}
}

// promptOf reads the line that asks Claude Code.
func promptOf(t *testing.T, line []byte) string {
	t.Helper()
	var asked struct {
		Message struct {
			Content []struct{ Text string }
		}
	}
	if err := json.Unmarshal(line, &asked); err != nil || len(asked.Message.Content) != 1 {
		t.Fatalf("%q: %v", line, err)
	}
	return asked.Message.Content[0].Text
}

func TestParseWritesTheEventsOfAFileOfOutput(t *testing.T) {
	recorded := readIfThere(t, "testdata/codex/bigout.jsonl")
	for _, c := range []struct {
		provider string
		exit     *int
		in       string
		want     string // status and stop reason
	}{
		{"codex", nil, string(recorded), "succeeded end_turn"},
		{"claude", new(1), claudeBad, "failed error"},
		{"claude", new(-9), claudeText, "failed signal"},
		{"claude", new(-99), "", "failed signal"},
		{"gemini", nil, "no JSON\n", "failed incomplete"},
	} {
		var out bytes.Buffer
		if err := agents.Parse(c.provider, c.exit, strings.NewReader(c.in), &out); err != nil {
			t.Errorf("%s: %v", c.provider, err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		var result contract.AgentEvent
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil || result.Type != contract.AgentResult {
			t.Errorf("%s: the last of %d lines is %q: %v", c.provider, len(lines), lines[len(lines)-1], err)
		}
		if got := result.Status + " " + result.StopReason; got != c.want {
			t.Errorf("%s: got %s, want %s", c.provider, got, c.want)
		}
	}
}

func TestParseTellsWhatWentWrong(t *testing.T) {
	if err := agents.Parse("aider", nil, strings.NewReader(""), &bytes.Buffer{}); err == nil {
		t.Error("an agent that does not exist is parsed")
	}
	broken := errors.New("the disk is gone")
	if err := agents.Parse("codex", nil, iotest.ErrReader(broken), &bytes.Buffer{}); !errors.Is(err, broken) {
		t.Errorf("reading what can not be read: %v", err)
	}
	if err := agents.Parse("codex", nil, strings.NewReader("x\n"), refusing{broken}); !errors.Is(err, broken) {
		t.Errorf("writing where nothing can be written: %v", err)
	}
}

// refusing is a writer that takes nothing.
type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }
