package gatewaytest

import (
	"encoding/json"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// playAgent plays an agent up to its end, or to where it waits for an approval.
func (g *Gateway) playAgent(op *operation, agent *contract.Agent, spenders []string) {
	cost := 0.0123
	usage := &contract.Usage{InputTokens: 1200, OutputTokens: 34, CostUSD: &cost}
	op.act(
		contract.AgentEvent{Type: contract.AgentSession, Provider: "claude-code", Model: "sonnet", Session: "s-1"},
		contract.AgentEvent{Type: contract.AgentToolCall, Tool: "Bash", ToolCall: "t1", ToolKind: "execute", Input: json.RawMessage(`{"command":"ls -la"}`)},
		contract.AgentEvent{Type: contract.AgentToolResult, ToolCall: "t1", Status: contract.ToolCompleted, Output: "README\n"},
	)
	if agent.Permissions == contract.PermissionsAsk {
		_ = g.apply(op, contract.OperationProgressed{Attempt: 1, Result: &contract.Result{Turns: 1, Usage: &contract.Usage{InputTokens: 100, OutputTokens: 5}}})
		op.goOn = func() { g.endAgent(op, agent, spenders, usage) }
		g.ask(op, contract.Approval{ID: "toolu_1", Tool: "Write", ToolCall: "t2", Title: "Write hello.txt", Input: json.RawMessage(`{"file_path":"hello.txt","content":"hello\u001b[2J"}`)})
		if strings.HasPrefix(agent.Prompt, "two") {
			g.ask(op, contract.Approval{ID: "toolu_2", Tool: "Bash", ToolCall: "t3", Title: "Clean up", Input: json.RawMessage(`{"command":"rm -rf build"}`)})
		}
		return
	}
	g.endAgent(op, agent, spenders, usage)
}

func (g *Gateway) endAgent(op *operation, agent *contract.Agent, spenders []string, usage *contract.Usage) {
	g.spend(spenders, usage)
	result := &contract.Result{Session: "s-1", Turns: 2, Usage: usage}
	if strings.HasPrefix(agent.Prompt, "spend") {
		cause := contract.NewFailure(contract.ClassBudget, "project shop has used up its 0.01 USD of today")
		_ = g.apply(op, contract.OperationProgressed{Attempt: 1, Result: result})
		_ = g.apply(op, contract.OperationProgressed{Attempt: 1, Result: result})
		_ = g.apply(op, contract.OperationCancelRequested{Cause: cause})
		g.end(op, contract.TypeFailed, 143, cause)
		return
	}
	result.Text = "You said: " + agent.Prompt
	op.act(
		contract.AgentEvent{Type: contract.AgentText, Text: result.Text},
		contract.AgentEvent{Type: contract.AgentResult, Status: contract.AgentSucceeded, Turns: 2, Session: "s-1", Usage: usage, Text: result.Text},
	)
	op.now.Result = result
	g.end(op, contract.TypeCompleted, 0, nil)
}

// act adds events of an agent.
func (o *operation) act(events ...contract.AgentEvent) {
	for _, said := range events {
		o.acts++
		said.Seq = o.acts
		line, _ := json.Marshal(said)
		o.add(contract.OutputAgent, string(line))
	}
}
