package agents_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

// TestLinesThatNoRecordingHas is about lines that the CLIs are documented to
// print, or nearly print, and that no recorded run happens to contain.
func TestLinesThatNoRecordingHas(t *testing.T) {
	for _, c := range []struct {
		provider, line string
		want           string // the events as brief has them
	}{
		{"claude-code", `{"type":"system","subtype":"compact_boundary","content":"Compacted."}`, "notice compact_boundary: Compacted."},
		{"claude-code", `{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"a"},{"type":"image"}]}]}}`, "tool_result t completed: a\n[image]"},
		{"claude-code", `{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":{"odd":1}}]}}`, `tool_result t completed: {"odd":1}`},
		{"claude-code", `{"type":"assistant","message":{"id":"m","content":[{"type":"thinking","thinking":"Hm."},{"type":"tool_use","id":"t","name":"WebFetch","input":{}}]}}`, "thinking: Hm. | tool_call t WebFetch fetch {}"},
		{"claude-code", `{"type":"control_response","response":{"subtype":"error","error":"no"}}`, "notice control_response: no"},
		{"claude-code", `{"type":"control_request","request":{"subtype":"other"}}`, "raw"},
		{"claude-code", `{"type":"assistant","message":"words"}`, "raw"},
		{"claude-code", `{"type":"assistant","message":{"content":7}}`, "raw"},
		{"claude-code", `{"type":"result","is_error":"yes"}`, "raw"},
		{"claude-code", `{"type":"keep_alive"}`, ""},
		{"claude-code", `{"type":"novelty"}`, "raw"},
		{"opencode", `{"type":"novelty","part":{}}`, "raw"},
		{"opencode", `{"type":"text"}`, "raw"},
		{"opencode", `{"type":"error","error":{"name":"UnknownError"}}`, "error UnknownError: UnknownError"},
		{"codex", `{"type":"item.completed","item":{"id":"i","type":"file_change","changes":[{"path":"a","kind":"add"}],"status":"completed"}}`, `tool_call i file_change edit {"changes":[{"path":"a","kind":"add"}]} | tool_result i completed: `},
		{"codex", `{"type":"item.completed","item":{"id":"i","type":"web_search","query":"why"}}`, `tool_call i web_search fetch {"query":"why"} | tool_result i completed: `},
		{"codex", `{"type":"item.completed","item":{"id":"i","type":"mcp_tool_call","server":"s","tool":"t","arguments":{"a":1},"status":"failed","error":{"message":"no"},"result":null}}`, `tool_call i s.t other {"a":1} | tool_result i failed: {"message":"no"}`},
		{"codex", `{"type":"item.completed","item":{"id":"i","type":"command_execution","command":"rm","status":"declined"}}`, `tool_call i command_execution execute {"command":"rm"} | tool_result i denied: `},
		{"codex", `{"type":"item.completed","item":{"id":"i","type":"todo_list"}}`, "notice todo_list: "},
		{"codex", `{"type":"item.updated","item":{"id":"i","type":"todo_list"}}`, ""},
		{"codex", `{"type":"item.completed","item":{"id":"i","type":"novelty"}}`, "raw"},
		{"codex", `{"type":"turn.completed"}`, "raw"},
		{"gemini", `{"type":"error","severity":"warning","message":"Slow."}`, "notice warning: Slow."},
		{"gemini", `{"type":"error","severity":"error","message":"Loop."}`, "error : Loop."},
		{"gemini", `{"type":"tool_result","tool_id":"t","status":"error","error":{"type":"policy_denied","message":"no"}}`, "tool_result t denied: no"},
		{"gemini", `{"type":"novelty"}`, "raw"},
	} {
		if diff := cmp.Diff(c.want, brief(feed(parserOf(t, c.provider), c.line))); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", c.provider, c.line, diff)
		}
	}
}

func brief(events []contract.AgentEvent) string {
	var parts []string
	for _, e := range events {
		switch e.Type {
		case contract.AgentToolCall:
			parts = append(parts, "tool_call "+e.ToolCall+" "+e.Tool+" "+e.ToolKind+" "+string(e.Input))
		case contract.AgentToolResult:
			parts = append(parts, "tool_result "+e.ToolCall+" "+e.Status+": "+e.Output)
		case contract.AgentNotice, contract.AgentError:
			parts = append(parts, e.Type+" "+e.Code+": "+e.Message)
		case contract.AgentRaw:
			parts = append(parts, e.Type)
		default:
			parts = append(parts, e.Type+": "+e.Text)
		}
	}
	return strings.Join(parts, " | ")
}

func TestReasonsOfResultsThatNoRecordingHas(t *testing.T) {
	for _, c := range []struct{ provider, line, want string }{
		{"claude-code", `{"type":"result","subtype":"error_max_budget_usd","is_error":true,"errors":["Reached maximum budget ($1)"]}`, "budget budget: Reached maximum budget ($1)"},
		{"opencode", `{"type":"step_finish","part":{"reason":"length"}}`, "max_tokens budget: the model's output reached its limit"},
		{"opencode", `{"type":"step_finish","part":{"reason":"content-filter"}}`, "refusal agent: the model's output was filtered"},
		{"codex", `{"type":"turn.failed","error":{"message":"unexpected status 402 Payment Required"}}`, "error budget: unexpected status 402 Payment Required"},
		{"codex", `{"type":"turn.failed","error":{"message":"You have hit your rate limit"}}`, "error rate_limit: You have hit your rate limit"},
		{"codex", `{"type":"turn.failed","error":{"message":"stream disconnected before completion"}}`, "error infrastructure: stream disconnected before completion"},
		{"gemini", `{"type":"result","status":"error","error":{"message":"[API Error: {\"error\":{\"code\":503}}]"}}`, `error infrastructure: [API Error: {"error":{"code":503}}]`},
	} {
		p := parserOf(t, c.provider)
		feed(p, c.line)
		events := p.Result(agents.End{ExitCode: new(int)})
		result := events[len(events)-1]
		if result.Status != contract.AgentFailed || result.Failure == nil {
			t.Errorf("%s: %s", c.line, result.Status)
			continue
		}
		got := result.StopReason + " " + string(result.Failure.Class) + ": " + result.Failure.Message
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", c.provider, c.line, diff)
		}
	}
}
