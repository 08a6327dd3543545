package agents

import (
	"cmp"
	"encoding/json"

	"github.com/orchard9/rdev/libs/contract"
)

// item tells of a step of Codex when it starts or is completed. Only tools are
// told of twice.
func (c *codexLines) item(p *Parser, item codexItem, completed bool) bool {
	switch item.Type {
	case "agent_message", "reasoning":
		if completed {
			c.turn(p)
			kind := contract.AgentText
			if item.Type == "reasoning" {
				kind = contract.AgentThinking
			}
			p.say(contract.AgentEvent{Type: kind, MessageID: item.ID}, item.Text)
		}
	case "error": // a warning: the run goes on
		if completed {
			p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: "warning", Message: item.Message})
		}
	case "todo_list":
		if completed {
			p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: item.Type})
		}
	case "command_execution", "file_change", "mcp_tool_call", "web_search", "collab_tool_call":
		c.tool(p, item, completed)
	default:
		return false
	}
	return true
}

func (c *codexLines) tool(p *Parser, item codexItem, completed bool) {
	event := contract.AgentEvent{ToolCall: item.ID, Tool: item.Type, ToolKind: toolKind(item.Type)}
	if item.Type == "mcp_tool_call" {
		event.Tool = item.Server + "." + item.Tool
	}
	if !completed || !c.open[item.ID] {
		c.turn(p)
		call := event
		call.Type, call.Input = contract.AgentToolCall, item.input()
		c.open[item.ID] = true
		p.emit(call)
	}
	if !completed {
		return
	}
	delete(c.open, item.ID)
	c.acted = true
	event.Type, event.Status, event.ExitCode = contract.AgentToolResult, contract.ToolCompleted, item.ExitCode
	event.Output = cmp.Or(item.Output, text(item.Result), text(item.Error))
	switch item.Status {
	case "failed":
		event.Status = contract.ToolFailed
	case "declined":
		event.Status = contract.ToolDenied
		p.deny(event.Tool)
	}
	p.emit(event)
}

// input is what a tool was asked for, as JSON.
func (i codexItem) input() json.RawMessage {
	switch i.Type {
	case "command_execution":
		return json.RawMessage(`{"command":` + string(quote(i.Command)) + `}`)
	case "file_change":
		return json.RawMessage(`{"changes":` + cmp.Or(string(i.Changes), "null") + `}`)
	case "web_search":
		return json.RawMessage(`{"query":` + string(quote(i.Query)) + `}`)
	default:
		return i.Args
	}
}

// text is JSON as text, and nothing where it is absent or null.
func text(value json.RawMessage) string {
	if string(value) == "null" {
		return ""
	}
	return asText(value)
}
