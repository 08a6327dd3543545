package agents

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// gemini drives Gemini CLI through its stream of JSON lines.
type gemini struct{}

// Info implements Driver.
func (gemini) Info() Info {
	return Info{
		Name: "gemini", Package: "@google/gemini-cli", Version: "0.61.0", Binary: "gemini",
		Usage: true, ChoosesSession: true,
	}
}

// geminiScript writes the settings that have no variable. A key has to be named
// there where the model is behind another URL. (Gemini would rather have
// settings of the system, which it ignores below a directory of a group.)
const geminiScript = `auth=
[ -z "${GEMINI_API_KEY:-}" ] || auth='"security":{"auth":{"selectedType":"gemini-api-key"}},'
mkdir -p "$GEMINI_CLI_HOME/.gemini"
cat >"$GEMINI_CLI_HOME/.gemini/settings.json" <<END
{$auth"privacy":{"usageStatisticsEnabled":false},"telemetry":{"enabled":false},"general":{"enableAutoUpdate":false}}
END
exec "$@"`

// Command implements Driver.
func (d gemini) Command(agent contract.Agent, place Place) Launch {
	argv := []string{d.Info().Binary, "--output-format=stream-json", "--yolo", "--skip-trust"}
	if agent.Session == "" {
		argv = flag(argv, "--session-id", place.Session)
	}
	argv = flag(argv, "--resume", agent.Session)
	argv = flag(argv, "--model", agent.Model)
	return Launch{
		Argv: shell(geminiScript, argv...),
		Env: []string{
			"GEMINI_CLI_HOME=" + place.below("gemini"),
			"GEMINI_CLI_NO_RELAUNCH=true", // or signals reach a parent that keeps them to itself
		},
		Stdin: []byte(agent.Prompt),
	}
}

// NewParser implements Driver.
func (d gemini) NewParser() *Parser {
	return newParser(d, &geminiLines{acted: true, tools: map[string]string{}})
}

// geminiLines knows the lines of gemini --output-format stream-json.
type geminiLines struct {
	speaking bool              // the latest event was text, which the next goes on with
	acted    bool              // a tool ended, so what comes next is another call of the model
	tools    map[string]string // names by id of the call
}

type geminiLine struct {
	Type      string `json:"type"`
	SessionID string `json:"session_id"`
	Model     string `json:"model"`
	// message
	Role    string `json:"role"`
	Content string `json:"content"`
	// tool_use, tool_result
	ToolName   string          `json:"tool_name"`
	ToolID     string          `json:"tool_id"`
	Parameters json.RawMessage `json:"parameters"`
	Output     string          `json:"output"`
	// tool_result, result
	Status string `json:"status"`
	Error  struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	Stats *struct {
		Total  int64 `json:"total_tokens"`
		Prompt int64 `json:"input_tokens"` // cached ones included
		Output int64 `json:"output_tokens"`
		Cached int64 `json:"cached"`
		Input  int64 `json:"input"`
	} `json:"stats"`
	// error
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

func (g *geminiLines) translate(p *Parser, data []byte) bool {
	var l geminiLine
	if json.Unmarshal(data, &l) != nil {
		return false
	}
	switch l.Type {
	case "init":
		p.started(contract.AgentEvent{Session: l.SessionID, Model: l.Model})
	case "message":
		g.message(p, l)
	case "tool_use":
		g.turn(p)
		g.tools[l.ToolID] = l.ToolName
		p.emit(contract.AgentEvent{
			Type: contract.AgentToolCall, ToolCall: l.ToolID, Tool: l.ToolName,
			ToolKind: toolKind(l.ToolName), Input: l.Parameters,
		})
	case "tool_result":
		g.toolResult(p, l)
	case "error":
		if l.Severity == "warning" {
			p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: l.Severity, Message: l.Message})
		} else {
			p.wrong(problem{httpStatus: statusIn(l.Message), message: l.Message})
		}
	case "result":
		g.result(p, l)
	default:
		return false
	}
	g.speaking = l.Type == "message" && l.Role != "user"
	return true
}

func (g *geminiLines) message(p *Parser, l geminiLine) {
	if l.Role == "user" { // the prompt
		return
	}
	g.turn(p)
	p.sayMore(contract.AgentEvent{Type: contract.AgentText, Delta: g.speaking}, l.Content)
}

func (g *geminiLines) toolResult(p *Parser, l geminiLine) {
	g.acted = true
	tool := g.tools[l.ToolID]
	delete(g.tools, l.ToolID)
	status := contract.ToolCompleted
	switch kind := l.Error.Type; {
	case strings.Contains(kind, "denied") || strings.Contains(kind, "policy"):
		status = contract.ToolDenied
		p.deny(tool)
	case l.Status != "success":
		status = contract.ToolFailed
	}
	p.emit(contract.AgentEvent{
		Type: contract.AgentToolResult, ToolCall: l.ToolID, Tool: tool, ToolKind: toolKind(tool),
		Status: status, Output: cmp.Or(l.Output, l.Error.Message),
	})
}

func (g *geminiLines) result(p *Parser, l geminiLine) {
	if s := l.Stats; s != nil {
		thoughts := max(0, s.Total-s.Prompt-s.Output)
		p.use(contract.Usage{
			Scope: "run", InputTokens: s.Input, CacheReadTokens: s.Cached,
			OutputTokens: s.Output + thoughts, ReasoningTokens: thoughts,
		})
	}
	p.verdict = &verdict{ok: l.Status == "success", stopReason: "end_turn"}
	if !p.verdict.ok {
		p.verdict.stopReason = "error"
		p.verdict.problem = problem{
			httpStatus: statusIn(l.Error.Message), code: l.Error.Type, message: cmp.Or(l.Error.Message, "unknown error"),
		}
	}
}

// turn counts a call of the model where a line is the first after a tool.
func (g *geminiLines) turn(p *Parser) {
	if g.acted {
		p.totals.Turns++
		g.acted = false
	}
}
