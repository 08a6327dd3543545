package render_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func TestAnAgentsWordsGoOutAndItsDeedsAreNotes(t *testing.T) {
	cost, one := 1.5, 1
	var out, notes bytes.Buffer
	agent := &render.Agent{Out: &out, Notes: &notes}
	for _, event := range []contract.AgentEvent{
		{Type: contract.AgentSession, Provider: "claude-code", Model: "sonnet", Session: "s-1"},
		{Type: contract.AgentThinking, Text: "let me\nsee"},
		{Type: contract.AgentText, Text: "I look "},
		{Type: contract.AgentText, Text: "around.", Delta: true},
		{Type: contract.AgentToolCall, Tool: "Bash", Input: json.RawMessage(`{"command":"go test\n./...","timeout":5}`)},
		{Type: contract.AgentToolResult, Status: contract.ToolFailed, ExitCode: &one, Output: "FAIL\tx\nmore\n"},
		{Type: contract.AgentToolCall, Tool: "TodoWrite", Input: json.RawMessage(`{"todos":[1]}`)},
		{Type: contract.AgentToolResult, Status: contract.ToolCompleted},
		{Type: contract.AgentToolResult, Status: contract.ToolDenied, Output: "no"},
		{Type: contract.AgentPermission, Tool: "Write", Input: json.RawMessage(`{"file_path":"hello.txt","content":"x"}`)},
		{Type: contract.AgentPermission, Tool: "Bash", Message: "Clean up", Input: json.RawMessage(`{"command":"rm -rf build"}`)},
		{Type: contract.AgentRetry, Attempt: 2, MaxRetries: 10, DelayMS: 1234, HTTPStatus: 529, Message: "overloaded"},
		{Type: contract.AgentUsage, Usage: &contract.Usage{}},
		{Type: contract.AgentError, Message: "broken"},
		{Type: contract.AgentText, Text: "Done.\n"},
		{
			Type: contract.AgentResult, Status: contract.AgentSucceeded, StopReason: "end_turn", Turns: 3, Text: "Done.", Session: "s-1",
			Usage: &contract.Usage{InputTokens: 1_000_000, CacheReadTokens: 234, OutputTokens: 999, CostUSD: &cost},
		},
	} {
		if err := agent.Write(event); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff("I look around.\nDone.\n", out.String()); diff != "" {
		t.Error(diff)
	}
	want := `● claude-code · sonnet · s-1
· let me see
→ Bash go test ./...
  ✗ exit 1 FAIL x more
→ TodoWrite {"todos":[1]}
  ✓
  ⊘ denied no
? Write: hello.txt
? Bash: Clean up
↻ try 2 of 10 in 1.2s, HTTP 529: overloaded
✗ broken
✓ succeeded · 3 turns · 1,000,234 tokens in, 999 out · $1.5000 · session s-1
`
	if diff := cmp.Diff(want, notes.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAResultThatWasNotSaidBeforeIsSaid(t *testing.T) {
	var out, notes bytes.Buffer
	agent := &render.Agent{Out: &out, Notes: &notes}
	err := agent.Write(contract.AgentEvent{
		Type: contract.AgentResult, Status: contract.AgentTimedOut, Text: "half",
		Failure: contract.NewFailure(contract.ClassTimeout, "silent for 5m"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("half\n", out.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("✗ timed out · timeout: silent for 5m\n", notes.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNobodysTextPlaysWithTheTerminal(t *testing.T) {
	evil := "a\x1b]0;title\x07\x1b[2Jb\u202ec\r\nd\u009b1m"
	if got := render.Line(evil); strings.ContainsAny(got, "\x1b\x07\r\n\u202e\u009b") {
		t.Errorf("line %q", got)
	}
	if got, want := render.Lines("x\ty\r\n\x1b[31mz"), "x\ty\n[31mz"; got != want {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestColoredColumnsStayAligned(t *testing.T) {
	for _, style := range []render.Style{{}, {Color: true}} {
		var out bytes.Buffer
		rows := [][]string{
			{"1", style.State(contract.Completed), "end"},
			{"2", style.State(contract.Failed), "end"},
			{"3", style.State("odd"), "end"},
		}
		if err := render.Table(&out, []string{"ID", style.Plain("STATE"), "LAST"}, rows); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			for _, code := range []string{"\x1b[39m", "\x1b[31m", "\x1b[32m"} {
				line = strings.ReplaceAll(line, code, "")
			}
			if at := max(strings.Index(line, "end"), strings.Index(line, "LAST")); at != 15 {
				t.Errorf("color %v: last column at %d of %q, want 15", style.Color, at, line)
			}
		}
	}
}

func TestAgesAndTimes(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 47 * time.Hour: "47h", 72 * time.Hour: "3d",
	} {
		if got := render.Age(now, now.Add(-age)); got != want {
			t.Errorf("age of %v is %q, want %q", age, got, want)
		}
	}
	for took, want := range map[time.Duration]string{
		1500 * time.Microsecond: "2ms", 12340 * time.Millisecond: "12.3s", 90*time.Second + 400*time.Millisecond: "1m30s",
	} {
		started, finished := now, now.Add(took)
		if got := render.Took(now, contract.Operation{StartedAt: &started, FinishedAt: &finished}); got != want {
			t.Errorf("%v took %q, want %q", took, got, want)
		}
	}
	if got := render.Age(now, time.Time{}) + render.Took(now, contract.Operation{}) + render.Exit(contract.Operation{}); got != "---" {
		t.Errorf("nothing is shown as %q, want dashes", got)
	}
}

func TestAnEventIsOneLine(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 3, 0, time.Local)
	started, code := at.Add(-2*time.Second), 3
	event := render.Event{
		Seq: 4711, Time: at, Entity: "operation", Type: "failed", ID: "0192-1", Project: "shop",
		Operation: &contract.Operation{
			Kind: "command.shell", State: contract.Failed, StartedAt: &started, FinishedAt: &at, ExitCode: &code,
			Failure: contract.NewFailure(contract.ClassUser, "exit status 3\n"),
		},
	}
	want := "    4711  12:00:03  operation.failed              shop              0192-1  command.shell · exit 3 · 2s · user: exit status 3"
	if diff := cmp.Diff(want, render.Style{}.Event(event)); diff != "" {
		t.Error(diff)
	}
}

func TestWhenSomethingIsCanLieBehindAheadOrNowhere(t *testing.T) {
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	for want, then := range map[string]*time.Time{
		"never": nil, "3h ago": new(now.Add(-3 * time.Hour)), "in 29d": new(now.Add(29*24*time.Hour + time.Hour)), "0s ago": &now,
	} {
		if got := render.Ago(now, then); got != want {
			t.Errorf("%v is %q, want %q", then, got, want)
		}
	}
}

func TestEventsOfApprovalsAndBudgetsSayWhatMatters(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	cost := 0.5
	write := contract.Approval{ID: "t1", State: contract.ApprovalOpen, Tool: "Write", Title: "Write hello.txt", ExpiresAt: at.Add(4 * time.Hour), Default: contract.ApprovalDenied}
	decided := func(a contract.Approval, state contract.ApprovalState, by, comment string, ago time.Duration) contract.Approval {
		a.State, a.DecidedBy, a.Comment, a.DecidedAt = state, by, comment, new(at.Add(-ago))
		return a
	}
	start := decided(contract.Approval{ID: contract.ApprovalStart, Title: "claude-code: fix\nit"}, contract.ApprovalApproved, "key:boss", "", time.Hour)
	for want, event := range map[string]render.Event{
		"command.agent · Write hello.txt · in 4h, then denied": {
			Type: contract.TypeApprovalRequested, Operation: &contract.Operation{Approvals: []contract.Approval{start, write}},
		},
		"command.agent · Write hello.txt · in 24h, then approved": {
			Type: contract.TypeApprovalRequested, Operation: &contract.Operation{Approvals: []contract.Approval{
				{ID: "t1", Title: "Write hello.txt", Tool: "Write", ExpiresAt: at.Add(24*time.Hour - time.Second), Default: contract.ApprovalApproved},
			}},
		},
		"command.agent · start: claude-code: fix it · approved by key:boss": {
			Type: contract.TypeApprovalDecided, Operation: &contract.Operation{Approvals: []contract.Approval{start, write}},
		},
		"command.agent · Write hello.txt · denied by rdev: nobody decided within 4h0m0s": {
			Type:      contract.TypeApprovalDecided,
			Operation: &contract.Operation{Approvals: []contract.Approval{decided(write, contract.ApprovalDenied, "rdev", "nobody decided within 4h0m0s", 0), start}},
		},
		"command.agent · Write hello.txt · not needed any more": {
			Type:      contract.TypeApprovalDecided,
			Operation: &contract.Operation{Approvals: []contract.Approval{start, decided(write, contract.ApprovalWithdrawn, "", "", 0)}},
		},
		"command.agent · 1 turn · 1,000 tokens in, 5 out · $0.5000": {
			Type:      contract.TypeProgressed,
			Operation: &contract.Operation{Result: &contract.Result{Turns: 1, Usage: &contract.Usage{InputTokens: 1000, OutputTokens: 5, CostUSD: &cost}}},
		},
		"command.agent · budget: used up": {
			Type: contract.TypeCancelRequested, Operation: &contract.Operation{CancelCause: contract.NewFailure(contract.ClassBudget, "used up")},
		},
		"key:boss · a day $20.00, 1,000,000 tokens · default 50 turns, wall 1h30m · at most $0.0123, silence 1m30s": {
			Type: contract.TypeProjectBudgeted, Actor: "key:boss", Budget: &contract.Budget{
				Day:     contract.Spend{CostUSD: 20, Tokens: 1_000_000},
				Default: contract.AgentLimits{Turns: 50, Wall: contract.Duration(90 * time.Minute)},
				Most:    contract.AgentLimits{CostUSD: 0.0123, Silence: contract.Duration(90 * time.Second)},
			},
		},
		"key:boss · no budget": {Entity: contract.EntityProject, Type: contract.TypeProjectBudgeted, Actor: "key:boss"},
		"key:boss":             {Entity: contract.EntityKey, Type: contract.TypeKeyBudgeted, Actor: "key:boss"},
	} {
		event.Time = at
		if event.Operation != nil {
			event.Operation.Kind = contract.KindAgent
		}
		if diff := cmp.Diff(want, render.Details(event)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestSpansAndMoneyAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * time.Second: "1m30s", 10 * time.Second: "10s", 10 * time.Minute: "10m", 20 * time.Hour: "20h", 61 * time.Minute: "1h1m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := render.Span(contract.Duration(d)); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
	for usd, want := range map[float64]string{20: "$20.00", 2.5: "$2.50", 0: "$0.00", 0.0123: "$0.0123", 1.005: "$1.005"} {
		if got := render.Money(usd); got != want {
			t.Errorf("%v is %q, want %q", usd, got, want)
		}
	}
}
