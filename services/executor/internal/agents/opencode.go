package agents

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// openCode drives OpenCode through opencode run. It prints a tool when it is
// done, and no result: the last step has to tell how the run ended.
type openCode struct{}

// Info implements Driver.
func (openCode) Info() Info {
	return Info{
		Name: "opencode", Package: "opencode-ai", Version: "1.18.33", Binary: "opencode",
		Usage: true, Cost: true,
	}
}

// Command implements Driver. Models behind other URLs than those that OpenCode
// knows come in OPENCODE_CONFIG_CONTENT of the run's environment.
func (d openCode) Command(agent contract.Agent, place Place) Launch {
	argv := []string{d.Info().Binary, "run", "--format=json", "--auto", "--thinking"}
	if agent.Session == "" {
		argv = flag(argv, "--title", title(agent.Prompt)) // or a model is asked for one
	}
	argv = flag(argv, "--session", agent.Session)
	argv = flag(argv, "--model", agent.Model)
	return Launch{
		Argv: argv,
		Env: []string{
			"XDG_DATA_HOME=" + place.below("opencode", "data"), "XDG_CONFIG_HOME=" + place.below("opencode", "config"),
			"XDG_STATE_HOME=" + place.below("opencode", "state"), "XDG_CACHE_HOME=" + place.below("opencode", "cache"),
			"OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_SHARE=1", "OPENCODE_DISABLE_MODELS_FETCH=1",
			"OPENCODE_DISABLE_LSP_DOWNLOAD=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1",
		},
		Stdin: []byte(agent.Prompt),
	}
}

// title is the start of the first line of a prompt.
func title(prompt string) string {
	first, _, _ := strings.Cut(strings.TrimSpace(prompt), "\n")
	return cmp.Or(cut(strings.TrimSpace(first), 80), "rdev")
}

// NewParser implements Driver.
func (d openCode) NewParser() *Parser { return newParser(d, openCodeLines{}) }

// openCodeLines knows the lines of opencode run --format json.
type openCodeLines struct{}

type openCodePart struct {
	MessageID string `json:"messageID"`
	Text      string `json:"text"`
	Tool      string `json:"tool"`
	CallID    string `json:"callID"`
	State     struct {
		Status   string          `json:"status"`
		Input    json.RawMessage `json:"input"`
		Output   string          `json:"output"`
		Error    string          `json:"error"`
		Title    string          `json:"title"`
		Metadata struct {
			Exit json.RawMessage `json:"exit"` // null where the command did not end
		} `json:"metadata"`
	} `json:"state"`
	Reason string   `json:"reason"`
	Cost   *float64 `json:"cost"`
	Tokens struct {
		Total     int64 `json:"total"`
		Input     int64 `json:"input"`
		Output    int64 `json:"output"`
		Reasoning int64 `json:"reasoning"`
		Cache     struct {
			Read  int64 `json:"read"`
			Write int64 `json:"write"`
		} `json:"cache"`
	} `json:"tokens"`
}

func (o openCodeLines) translate(p *Parser, data []byte) bool {
	var l struct {
		Type      string        `json:"type"`
		SessionID string        `json:"sessionID"`
		Part      *openCodePart `json:"part"`
		Error     *struct {
			Name string `json:"name"`
			Data struct {
				Message    string `json:"message"`
				StatusCode int    `json:"statusCode"`
			} `json:"data"`
		} `json:"error"`
	}
	if json.Unmarshal(data, &l) != nil {
		return false
	}
	if l.Type == "error" && l.Error != nil {
		p.started(contract.AgentEvent{Session: l.SessionID})
		p.wrong(problem{
			httpStatus: l.Error.Data.StatusCode, code: l.Error.Name,
			message: cmp.Or(l.Error.Data.Message, l.Error.Name, "unknown error"),
		})
		return true
	}
	if l.Part == nil {
		return false
	}
	switch l.Type {
	case "step_start", "text", "reasoning", "tool_use", "step_finish":
	default:
		return false
	}
	p.started(contract.AgentEvent{Session: l.SessionID})
	switch l.Type {
	case "step_start":
		p.verdict = nil // what stopped goes on
	case "text":
		p.say(contract.AgentEvent{Type: contract.AgentText, MessageID: l.Part.MessageID}, l.Part.Text)
	case "reasoning":
		p.say(contract.AgentEvent{Type: contract.AgentThinking, MessageID: l.Part.MessageID}, l.Part.Text)
	case "tool_use":
		o.tool(p, *l.Part)
	case "step_finish":
		o.finish(p, *l.Part)
	}
	return true
}

// tool tells the call and the result, which come in one line.
func (openCodeLines) tool(p *Parser, part openCodePart) {
	state := part.State
	kind := toolKind(part.Tool)
	p.emit(contract.AgentEvent{
		Type: contract.AgentToolCall, MessageID: part.MessageID, ToolCall: part.CallID,
		Tool: part.Tool, ToolKind: kind, Title: state.Title, Input: state.Input,
	})
	result := contract.AgentEvent{
		Type: contract.AgentToolResult, ToolCall: part.CallID, Tool: part.Tool, ToolKind: kind,
		Status: contract.ToolCompleted, Output: cmp.Or(state.Output, state.Error),
	}
	exit := state.Metadata.Exit
	var code int
	if json.Unmarshal(exit, &code) == nil && !bytes.Equal(exit, []byte("null")) {
		result.ExitCode = &code
	}
	switch {
	case strings.Contains(state.Error, "rejected permission"):
		result.Status = contract.ToolDenied
		p.deny(part.Tool)
	case state.Status != "completed", part.Tool == "invalid", len(exit) > 0 && (result.ExitCode == nil || code != 0):
		result.Status = contract.ToolFailed
	}
	p.emit(result)
}

// finish ends a step: a call of the model and the tools that it asked for.
func (openCodeLines) finish(p *Parser, part openCodePart) {
	p.totals.Turns++
	tokens := part.Tokens
	usage := contract.Usage{
		Scope: "step", InputTokens: tokens.Input, CacheReadTokens: tokens.Cache.Read,
		CacheWriteTokens: tokens.Cache.Write, OutputTokens: tokens.Output, ReasoningTokens: tokens.Reasoning,
		CostUSD: part.Cost,
	}
	// Whether reasoning is part of the output depends on the model's API; the
	// total tells.
	if tokens.Total == tokens.Input+tokens.Cache.Read+tokens.Cache.Write+tokens.Output+tokens.Reasoning {
		usage.OutputTokens += tokens.Reasoning
	}
	p.use(usage)
	switch part.Reason {
	case "stop":
		p.verdict = &verdict{ok: true, stopReason: "end_turn"}
	case "length":
		p.verdict = &verdict{stopReason: "max_tokens", problem: problem{message: "the model's output reached its limit"}}
	case "content-filter":
		p.verdict = &verdict{stopReason: "refusal", problem: problem{message: "the model's output was filtered"}}
	}
}
