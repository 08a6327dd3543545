package agents

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// claudeLines knows the lines of Claude Code. One message of the model comes in
// a line for each of its blocks.
type claudeLines struct {
	message string            // id of the latest message of the model
	tools   map[string]string // names by id of the call
}

type claudeLine struct {
	Type      string `json:"type"`
	Subtype   string `json:"subtype"`
	SessionID string `json:"session_id"`
	Parent    string `json:"parent_tool_use_id"`

	// system
	Model          string          `json:"model"`
	Cwd            string          `json:"cwd"`
	Version        string          `json:"claude_code_version"`
	PermissionMode string          `json:"permissionMode"`
	Attempt        int             `json:"attempt"`
	MaxRetries     int             `json:"max_retries"`
	RetryDelayMS   float64         `json:"retry_delay_ms"`
	ErrorStatus    int             `json:"error_status"`
	ToolName       string          `json:"tool_name"`
	ToolUseID      string          `json:"tool_use_id"`
	Content        json.RawMessage `json:"content"`
	Status         json.RawMessage `json:"status"`

	// assistant, user: an object; permission_denied: words
	Message        json.RawMessage `json:"message"`
	Error          string          `json:"error"` // also of an api_retry
	APIErrorStatus int             `json:"api_error_status"`
	IsReplay       bool            `json:"isReplay"`
	ToolResultMeta []struct {
		ID               string `json:"id"`
		NonExecutionKind string `json:"non_execution_kind"`
		Permission       struct {
			Decision string `json:"decision"`
		} `json:"permission_decision"`
	} `json:"tool_result_meta"`

	// control_request, control_response, control_cancel_request
	RequestID string `json:"request_id"`
	Request   struct {
		Subtype     string          `json:"subtype"`
		ToolName    string          `json:"tool_name"`
		ToolUseID   string          `json:"tool_use_id"`
		Description string          `json:"description"`
		Input       json.RawMessage `json:"input"`
	} `json:"request"`
	Response struct {
		Subtype string `json:"subtype"`
		Error   string `json:"error"`
	} `json:"response"`
}

type claudeMessage struct {
	ID      string          `json:"id"`
	Model   string          `json:"model"`
	Content json.RawMessage `json:"content"` // blocks, or a string
	Usage   claudeUsage     `json:"usage"`   // of the model's: what came in is true, and what went out is not yet known
}

type claudeUsage struct {
	Input      int64 `json:"input_tokens"`
	Output     int64 `json:"output_tokens"`
	CacheRead  int64 `json:"cache_read_input_tokens"`
	CacheWrite int64 `json:"cache_creation_input_tokens"`
}

// bytesPerToken guesses how many tokens a text is.
const bytesPerToken = 4

type claudeBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
	IsError   bool            `json:"is_error"`
}

func (c *claudeLines) translate(p *Parser, data []byte) bool {
	var l claudeLine
	if json.Unmarshal(data, &l) != nil {
		return false
	}
	switch l.Type {
	case "system":
		c.system(p, l)
	case "assistant", "user":
		var message claudeMessage
		if json.Unmarshal(l.Message, &message) != nil {
			return false
		}
		blocks, ok := claudeBlocks(message.Content)
		if !ok {
			return false
		}
		if l.Type == "assistant" {
			c.assistant(p, l, message, blocks)
		} else if !l.IsReplay {
			c.user(p, l, blocks)
		}
	case "result":
		return c.result(p, data)
	case "control_request":
		if l.Request.Subtype != "can_use_tool" {
			return false
		}
		p.ask(l.RequestID, contract.AgentEvent{
			ToolCall: l.Request.ToolUseID, Tool: l.Request.ToolName, ToolKind: toolKind(l.Request.ToolName),
			Input: l.Request.Input, Message: l.Request.Description,
		})
	case "control_cancel_request":
		p.settle(func(r Request) bool { return r.ID == l.RequestID })
	case "control_response":
		if l.Response.Subtype == "error" {
			p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: "control_response", Message: l.Response.Error})
		}
	case "stream_event", "keep_alive", "tool_progress":
		// What they tell comes again, whole, in other lines.
	default:
		return false
	}
	return true
}

func (c *claudeLines) system(p *Parser, l claudeLine) {
	switch l.Subtype {
	case "init":
		p.started(contract.AgentEvent{
			Session: l.SessionID, Model: l.Model, Cwd: l.Cwd, Version: l.Version, PermissionMode: l.PermissionMode,
		})
	case "api_retry":
		p.retry(contract.AgentEvent{
			Attempt: l.Attempt, MaxRetries: l.MaxRetries, DelayMS: int64(l.RetryDelayMS),
			HTTPStatus: l.ErrorStatus, Code: l.Error, Message: l.Error,
		})
	case "permission_denied":
		p.deny(l.ToolName)
		p.emit(contract.AgentEvent{
			Type: contract.AgentPermission, ToolCall: l.ToolUseID, Tool: l.ToolName, ToolKind: toolKind(l.ToolName),
			Status: contract.ToolDenied, Message: asText(l.Message),
		})
	default:
		words := cmp.Or(asText(l.Content), asText(l.Message), asText(l.Status))
		p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: l.Subtype, Message: words})
	}
}

func (c *claudeLines) assistant(p *Parser, l claudeLine, message claudeMessage, blocks []claudeBlock) {
	if l.Error != "" { // words of the CLI, not of the model
		var words []string
		for _, block := range blocks {
			words = append(words, block.Text)
		}
		p.wrong(problem{httpStatus: l.APIErrorStatus, code: l.Error, message: strings.Join(words, "\n")})
		return
	}
	p.verdict = nil // it goes on
	if message.ID != c.message && message.Model != "<synthetic>" {
		c.message = message.ID
		p.totals.Turns++
		p.interim.InputTokens += message.Usage.Input
		p.interim.CacheReadTokens += message.Usage.CacheRead
		p.interim.CacheWriteTokens += message.Usage.CacheWrite
	}
	for _, block := range blocks {
		p.interim.OutputTokens += int64(len(block.Text)+len(block.Thinking)+len(block.Input)) / bytesPerToken
		event := contract.AgentEvent{MessageID: message.ID, ParentToolCall: l.Parent}
		switch block.Type {
		case "text":
			event.Type = contract.AgentText
			p.say(event, block.Text)
		case "thinking":
			event.Type = contract.AgentThinking
			p.say(event, block.Thinking)
		case "tool_use", "server_tool_use":
			c.tools[block.ID] = block.Name
			event.Type, event.ToolCall, event.Tool = contract.AgentToolCall, block.ID, block.Name
			event.ToolKind, event.Input = toolKind(block.Name), block.Input
			p.emit(event)
		}
	}
}

func (c *claudeLines) user(p *Parser, l claudeLine, blocks []claudeBlock) {
	for _, block := range blocks {
		switch block.Type {
		case "tool_result":
			p.settle(func(r Request) bool { return r.Event.ToolCall == block.ToolUseID })
			tool := c.tools[block.ToolUseID]
			delete(c.tools, block.ToolUseID)
			status := c.toolStatus(l, block)
			if status == contract.ToolDenied {
				p.deny(tool)
			}
			p.emit(contract.AgentEvent{
				Type: contract.AgentToolResult, ToolCall: block.ToolUseID, Tool: tool, ToolKind: toolKind(tool),
				Status: status, Output: claudeText(block.Content), ParentToolCall: l.Parent,
			})
		case "text": // said to the model by the CLI, in the name of the user
			p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: "user", Message: block.Text})
		}
	}
}

func (c *claudeLines) toolStatus(l claudeLine, block claudeBlock) string {
	for _, meta := range l.ToolResultMeta {
		switch {
		case meta.ID != block.ToolUseID || meta.NonExecutionKind == "":
		case meta.Permission.Decision == "reject":
			return contract.ToolDenied
		case meta.NonExecutionKind == "user-rejected":
			return contract.ToolCancelled // an interrupt reads as a refusal without a decision
		}
	}
	if block.IsError {
		return contract.ToolFailed
	}
	return contract.ToolCompleted
}

// claudeBlocks reads content, which is blocks or the text of one.
func claudeBlocks(content json.RawMessage) ([]claudeBlock, bool) {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return []claudeBlock{{Type: "text", Text: text}}, true
	}
	var blocks []claudeBlock
	return blocks, json.Unmarshal(content, &blocks) == nil
}

// claudeText is the text of a tool's content; of other media it tells the kind.
func claudeText(content json.RawMessage) string {
	if len(content) == 0 {
		return ""
	}
	blocks, ok := claudeBlocks(content)
	if !ok {
		return string(content)
	}
	var parts []string
	for _, block := range blocks {
		if block.Type == "text" {
			parts = append(parts, block.Text)
		} else {
			parts = append(parts, "["+block.Type+"]")
		}
	}
	return strings.Join(parts, "\n")
}
