package contract

import (
	"encoding/json"
	"time"
)

// Types of the events that agents of all providers are mapped to. The words are
// those of the Agent Client Protocol where it has one.
const (
	AgentSession    = "session"     // the agent is up: session, model, cwd, version
	AgentText       = "text"        // what it says
	AgentThinking   = "thinking"    // what it says to itself
	AgentToolCall   = "tool_call"   // it begins to use a tool
	AgentToolResult = "tool_result" // how that ended
	AgentPermission = "permission"  // it asks, or was refused
	AgentUsage      = "usage"       // tokens and money so far
	AgentRetry      = "retry"       // a model call is tried again
	AgentNotice     = "notice"      // worth knowing
	AgentError      = "error"       // went wrong; the run may go on
	AgentRaw        = "raw"         // a line that the driver does not know
	AgentResult     = "result"      // how the run ended: exactly one, the last, by rdev
)

// Statuses of a result.
const (
	AgentSucceeded = "succeeded"
	AgentFailed    = "failed"
	AgentCancelled = "cancelled"
	AgentTimedOut  = "timed_out"
)

// Statuses of a tool result.
const (
	ToolCompleted = "completed"
	ToolFailed    = "failed"
	ToolDenied    = "denied"
	ToolCancelled = "cancelled"
)

// AgentEvent is one normalised event of an agent's run. Which fields are set
// depends on Type; those that are not are absent from the JSON.
type AgentEvent struct {
	Seq  int       `json:"seq"`           // from 1, within the run
	Time time.Time `json:"time,omitzero"` // when the runner read the line
	Type string    `json:"type"`

	Provider       string `json:"provider,omitempty"`         // session, result
	Session        string `json:"session,omitempty"`          // session, result: the provider's id
	Message        string `json:"message,omitempty"`          // notice, error, retry, permission
	MessageID      string `json:"message_id,omitempty"`       // text, thinking: the model's message
	ParentToolCall string `json:"parent_tool_call,omitempty"` // of a sub-agent

	// Text is what a text or thinking event says, and of a result the last words.
	Text  string `json:"text,omitempty"`
	Delta bool   `json:"delta,omitempty"` // Text continues the text before
	Role  string `json:"role,omitempty"`  // text: assistant where empty

	Model          string `json:"model,omitempty"`           // session, usage
	Cwd            string `json:"cwd,omitempty"`             // session
	Version        string `json:"version,omitempty"`         // session: of the agent
	PermissionMode string `json:"permission_mode,omitempty"` // session

	ToolCall string          `json:"tool_call,omitempty"` // tool_call, tool_result, permission: id
	Tool     string          `json:"tool,omitempty"`      // name as the provider has it
	ToolKind string          `json:"tool_kind,omitempty"` // read, edit, delete, move, search, execute, think, fetch, other
	Title    string          `json:"title,omitempty"`
	Input    json.RawMessage `json:"input,omitempty"`  // tool_call, permission
	Output   string          `json:"output,omitempty"` // tool_result, at most MaxToolOutput bytes
	// OutputBytes is the size of the whole output where Output was cut.
	OutputBytes int `json:"output_bytes,omitempty"`

	Usage *Usage `json:"usage,omitempty"` // usage, result

	Attempt    int    `json:"attempt,omitempty"`     // retry
	MaxRetries int    `json:"max_retries,omitempty"` // retry
	DelayMS    int64  `json:"delay_ms,omitempty"`    // retry
	HTTPStatus int    `json:"http_status,omitempty"` // retry, error, result
	Code       string `json:"code,omitempty"`        // retry, notice, error

	// Line is a raw event's line as it came, at most MaxRawLine bytes.
	Line string `json:"line,omitempty"`

	// Status of a tool_result: completed, failed, denied, cancelled. Of a
	// result: succeeded, failed, cancelled, timed_out.
	Status     string   `json:"status,omitempty"`
	StopReason string   `json:"stop_reason,omitempty"` // result: end_turn, max_tokens, max_turns, refusal, cancelled, error, budget, timeout, signal, incomplete
	Turns      int      `json:"turns,omitempty"`       // result: model calls
	ExitCode   *int     `json:"exit_code,omitempty"`   // result: of the agent; tool_result: of its command
	Failure    *Failure `json:"failure,omitempty"`     // result
	Denied     []string `json:"denied,omitempty"`      // result: tools that were refused
}

// Limits of what an agent event carries of its agent's words, in bytes.
const (
	MaxToolOutput = 16 << 10
	MaxRawLine    = 16 << 10
	MaxAgentText  = 64 << 10
)

// Usage counts tokens and money. Tokens count once: InputTokens are those that
// came from no cache, OutputTokens include ReasoningTokens.
type Usage struct {
	Scope            string   `json:"scope,omitempty"` // step or run
	InputTokens      int64    `json:"input_tokens"`
	CacheReadTokens  int64    `json:"cache_read_tokens,omitempty"`
	CacheWriteTokens int64    `json:"cache_write_tokens,omitempty"`
	OutputTokens     int64    `json:"output_tokens"`
	ReasoningTokens  int64    `json:"reasoning_tokens,omitempty"`
	CostUSD          *float64 `json:"cost_usd,omitempty"` // absent where the agent does not tell
	// Estimated is true where OutputTokens are guessed: the agent has not told yet, or
	// was ended before it did.
	Estimated bool `json:"estimated,omitempty"`
}
