package agents

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// claudeResult is the line that ends a turn of Claude Code. Its subtype and its
// total_cost_usd are traps: "success" is also said of failures, and the total is
// that of the session, earlier runs included.
type claudeResult struct {
	SessionID      string   `json:"session_id"`
	Subtype        string   `json:"subtype"`
	IsError        bool     `json:"is_error"`
	Result         string   `json:"result"`
	Errors         []string `json:"errors"`
	NumTurns       int      `json:"num_turns"`
	StopReason     string   `json:"stop_reason"`
	TerminalReason string   `json:"terminal_reason"`
	APIErrorStatus int      `json:"api_error_status"`
	APIError       string   `json:"api_error"`
	Denials        []struct {
		ToolName string `json:"tool_name"`
	} `json:"permission_denials"`
	// Usage has no cost, and is 0 where the run was interrupted.
	Usage claudeUsage `json:"usage"`
	// Models is what each model used since the result before; absent where the
	// session could not even start, and outside of streams.
	Models map[string]struct {
		Input      int64   `json:"inputTokens"`
		Output     int64   `json:"outputTokens"`
		CacheRead  int64   `json:"cacheReadInputTokens"`
		CacheWrite int64   `json:"cacheCreationInputTokens"`
		Thinking   int64   `json:"thinkingTokens"`
		CostUSD    float64 `json:"costUSD"`
	} `json:"model_usage_since_last_result"`
}

func (c *claudeLines) result(p *Parser, data []byte) bool {
	var r claudeResult
	if json.Unmarshal(data, &r) != nil {
		return false
	}
	p.session = cmp.Or(p.session, r.SessionID)
	r.use(p)
	p.settle(func(Request) bool { return true })
	for _, denial := range r.Denials {
		p.deny(denial.ToolName)
	}
	if p.totals.Turns == 0 && (r.Usage.Output > 0 || len(r.Models) > 0) {
		p.totals.Turns = r.NumTurns // none of its messages was shown
	}
	p.verdict = &verdict{ok: !r.IsError && r.Subtype == "success", stopReason: r.stopReason()}
	if p.verdict.ok {
		p.words = cut(cmp.Or(p.secrets.Text(r.Result), p.words), maxText)
		return true
	}
	code := r.APIError
	if p.problem != nil {
		code = cmp.Or(code, p.problem.code)
	}
	p.verdict.problem = problem{
		httpStatus: r.APIErrorStatus, code: code,
		message: cmp.Or(r.Result, strings.Join(r.Errors, "\n"), r.Subtype),
	}
	return true
}

func (r claudeResult) use(p *Parser) {
	usage := contract.Usage{Scope: "run"}
	if r.Models == nil {
		if r.NumTurns > 0 {
			usage.InputTokens, usage.OutputTokens = r.Usage.Input, r.Usage.Output
			usage.CacheReadTokens, usage.CacheWriteTokens = r.Usage.CacheRead, r.Usage.CacheWrite
			p.use(usage)
		}
		return
	}
	var cost float64
	for _, model := range r.Models {
		usage.InputTokens += model.Input
		usage.CacheReadTokens += model.CacheRead
		usage.CacheWriteTokens += model.CacheWrite
		usage.OutputTokens += model.Output
		usage.ReasoningTokens += model.Thinking
		cost += model.CostUSD
	}
	usage.CostUSD = &cost
	p.use(usage)
}

func (r claudeResult) stopReason() string {
	switch {
	case r.Subtype == "error_max_turns":
		return "max_turns"
	case strings.HasPrefix(r.Subtype, "error_max_budget"):
		return "budget"
	case strings.HasPrefix(r.TerminalReason, "aborted"):
		return "cancelled"
	case r.StopReason == "refusal":
		return "refusal"
	case r.APIError == "max_output_tokens" || r.StopReason == "max_tokens":
		return "max_tokens"
	case r.IsError || r.Subtype != "success":
		return "error"
	default:
		return "end_turn"
	}
}
