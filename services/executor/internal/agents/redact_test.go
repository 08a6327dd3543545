package agents_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

const secret = `p"ss/wörd-1`

// told are the events of a CLI that prints lines and complains, and exits with 1
// where it had no result.
func told(t *testing.T, provider, stderr string, lines ...string) []contract.AgentEvent {
	t.Helper()
	driver, ok := agents.Lookup(provider)
	if !ok {
		t.Fatalf("no agent is called %q", provider)
	}
	secrets := redact.New(map[string]string{"PW": secret})
	parser := driver.NewParser()
	parser.Redact(secrets)
	var events []contract.AgentEvent
	for _, line := range lines {
		events = append(events, parser.Stdout([]byte(line+"\n"), time.Time{})...)
	}
	parser.Stderr([]byte(secrets.Text(stderr)))
	events = append(events, parser.Result(agents.End{ExitCode: new(1)})...)
	for i, event := range events {
		if event.Seq != i+1 {
			t.Errorf("event %d has the number %d", i+1, event.Seq)
		}
	}
	return events
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestASecretIsMaskedWhereverAnAgentTellsIt(t *testing.T) {
	q := strings.Trim(asJSON(t, secret), `"`)
	odd := `\u0070\u0022ss\/w\u00f6rd-\u0031` // the same
	line := func(text string) string { return strings.ReplaceAll(text, "PW", q) }
	for name, lines := range map[string][]string{
		"claude-code": {
			line(`{"type":"system","subtype":"init","session_id":"PW","cwd":"/PW","model":"PW"}`),
			line(`{"type":"assistant","message":{"id":"1","content":[{"type":"text","text":"it is PW."},{"type":"thinking","thinking":"PW"},` +
				`{"type":"tool_use","id":"t","name":"Bash","input":{"command":"echo PW","PW":[1]}}]}}`),
			`{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"` + odd + `"}]}}`,
			line(`{"type":"system","subtype":"permission_denied","tool_name":"PW","message":"no PW"}`),
			line(`{"type":"unheard-of","PW":"PW"}`),
			`{"odd":"` + odd + `"}`,
			"no JSON: " + secret,
			line(`{"type":"result","subtype":"error","is_error":true,"result":"PW was wrong","num_turns":1,"session_id":"PW"}`),
		},
		"opencode": {
			line(`{"type":"tool_use","sessionID":"s","part":{"tool":"bash","state":{"status":"completed","input":{"c":"PW"},"output":"PW","title":"PW"}}}`),
			line(`{"type":"error","sessionID":"s","error":{"name":"PW","data":{"message":"PW"}}}`),
		},
		"codex": {
			line(`{"type":"item.completed","item":{"id":"1","type":"command_execution","command":"echo PW","aggregated_output":"PW","status":"completed"}}`),
			line(`{"type":"turn.failed","error":{"message":"PW"}}`),
		},
		"gemini": {
			line(`{"type":"message","role":"assistant","content":"PW"}`),
			line(`{"type":"result","status":"error","error":{"type":"PW","message":"PW"}}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			events := told(t, name, "fatal: "+secret, lines...)
			for _, event := range events {
				if text := asJSON(t, event); strings.Contains(text, "ss/w") || strings.Contains(text, "rd-1") || strings.Contains(text, "u0031") {
					t.Errorf("an event tells it: %s", text)
				}
			}
			if !strings.Contains(asJSON(t, events), "[redacted:PW]") {
				t.Errorf("nothing was masked in %s", asJSON(t, events))
			}
		})
	}
}

func TestTheComplaintOfAnAgentWithoutAResultIsMasked(t *testing.T) {
	events := told(t, "codex", "fatal: the key "+secret+" is bad")
	if got, want := events[len(events)-1].Failure.Message, "exit 1 without a result: fatal: the key [redacted:PW] is bad"; got != want {
		t.Errorf("the failure is %q, want %q", got, want)
	}
}

func TestASecretIsMaskedAcrossThePiecesOfAText(t *testing.T) {
	for size := 1; size < 12; size++ {
		text := "the password is " + secret + ", so p"
		lines := []string{`{"type":"init","session_id":"s"}`}
		for piece := range slices.Chunk([]rune(text), size) {
			lines = append(lines, fmt.Sprintf(`{"type":"message","role":"assistant","content":%s,"delta":true}`, asJSON(t, string(piece))), "some noise")
		}
		lines = append(lines, `{"type":"tool_use","tool_name":"x","tool_id":"1"}`, `{"type":"result","status":"success"}`)
		events := told(t, "gemini", "", lines...)
		var said strings.Builder
		for _, event := range events {
			switch event.Type {
			case contract.AgentText:
				if event.Delta != (said.Len() > 0) {
					t.Errorf("pieces of %d: %q goes on with %q: %t", size, event.Text, said.String(), event.Delta)
				}
				said.WriteString(event.Text)
			case contract.AgentToolCall:
				said.WriteString("|")
			}
		}
		want := "the password is [redacted:PW], so p"
		if said.String() != want+"|" {
			t.Errorf("pieces of %d: %q, want %q and then the tool", size, said.String(), want)
		}
		if result := events[len(events)-1]; result.Text != want {
			t.Errorf("pieces of %d: the last words are %q, want %q", size, result.Text, want)
		}
	}
}

func TestAnOutputIsMaskedBeforeItIsCut(t *testing.T) {
	for before := contract.MaxToolOutput - 20; before < contract.MaxToolOutput; before++ {
		output := strings.Repeat("x", before) + secret + " and more"
		events := told(t, "claude-code", "",
			`{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":`+asJSON(t, output)+`}]}}`)
		if got := strings.TrimLeft(events[0].Output, "x"); got != "" && !strings.HasPrefix("[redacted:PW] and more", got) {
			t.Fatalf("after %d bytes %q is left of the secret", before, got)
		}
	}
}
