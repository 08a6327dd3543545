package agents

import (
	"cmp"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// codex drives Codex CLI through codex exec.
type codex struct{}

// Info implements Driver.
func (codex) Info() Info {
	return Info{Name: "codex", Package: "@openai/codex", Version: "0.169.0", Binary: "codex", Usage: true}
}

// codexScript makes the home that Codex wants to find, passes on the key and the
// URL in the variables that others know them by, and on resuming first prints
// what the session has used so far, which Codex will count again. It keeps that
// in the session's file, which it may have compressed: then nobody can tell.
const codexScript = `session=$1; shift
mkdir -p "$CODEX_HOME"
: "${CODEX_API_KEY:=${OPENAI_API_KEY:-}}"
[ -z "$CODEX_API_KEY" ] || export CODEX_API_KEY
if [ -n "$session" ]; then
	grep -h '"total_token_usage":{' "$CODEX_HOME"/sessions/*/*/*/rollout-*-"$session".jsonl 2>/dev/null | tail -n 1 | grep . ||
		echo '{"type":"rdev.session_total_unknown"}'
fi
if [ -n "${OPENAI_BASE_URL:-}" ]; then
	program=$1; shift
	set -- "$program" -c "openai_base_url=\"$OPENAI_BASE_URL\"" "$@"
fi
exec "$@"`

// Command implements Driver.
func (d codex) Command(agent contract.Agent, place Place) Launch {
	argv := []string{
		d.Info().Binary,
		"-c", "check_for_update_on_startup=false", "-c", "analytics.enabled=false", "--disable", "plugins",
		"exec", "--json", "--skip-git-repo-check",
		"--dangerously-bypass-approvals-and-sandbox", // the workspace is the sandbox
	}
	argv = flag(argv, "--model", agent.Model)
	if agent.Session != "" {
		argv = append(argv, "resume", "--", agent.Session)
	}
	argv = append(argv, "-") // the prompt comes on standard input
	return Launch{
		Argv:  shell(codexScript, append([]string{agent.Session}, argv...)...),
		Env:   []string{"CODEX_HOME=" + place.below("codex")},
		Stdin: []byte(agent.Prompt),
	}
}

// NewParser implements Driver.
func (d codex) NewParser() *Parser { return newParser(d, &codexLines{open: map[string]bool{}}) }

// codexLines knows the lines of codex exec --json.
type codexLines struct {
	before codexUsage      // what the session had used when the run began
	lost   bool            // that is not known
	acted  bool            // a tool ended, so what comes next is another call of the model
	open   map[string]bool // tools that have started, by id of the item
}

// codexUsage counts for the whole session.
type codexUsage struct {
	Input      int64 `json:"input_tokens"` // cached ones included
	Cached     int64 `json:"cached_input_tokens"`
	CacheWrite int64 `json:"cache_write_input_tokens"`
	Output     int64 `json:"output_tokens"` // reasoning included
	Reasoning  int64 `json:"reasoning_output_tokens"`
}

type codexLine struct {
	Type     string      `json:"type"`
	ThreadID string      `json:"thread_id"`
	Item     *codexItem  `json:"item"`
	Usage    *codexUsage `json:"usage"`
	Message  string      `json:"message"`
	Error    *struct {
		Message string `json:"message"`
	} `json:"error"`
	Payload struct { // of a line of a session file
		Info struct {
			Total *codexUsage `json:"total_token_usage"`
		} `json:"info"`
	} `json:"payload"`
}

type codexItem struct {
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Message  string          `json:"message"`
	Command  string          `json:"command"`
	Output   string          `json:"aggregated_output"`
	ExitCode *int            `json:"exit_code"`
	Status   string          `json:"status"`
	Changes  json.RawMessage `json:"changes"`
	Server   string          `json:"server"`
	Tool     string          `json:"tool"`
	Args     json.RawMessage `json:"arguments"`
	Result   json.RawMessage `json:"result"`
	Error    json.RawMessage `json:"error"`
	Query    string          `json:"query"`
}

// codexRetry finds the attempts in "Reconnecting... 1/5 (why)".
var codexRetry = regexp.MustCompile(`^Reconnecting\.\.\. (\d+)/(\d+)(?: \((.*)\))?`)

func (c *codexLines) translate(p *Parser, data []byte) bool {
	var l codexLine
	if json.Unmarshal(data, &l) != nil {
		return false
	}
	switch {
	case l.Type == "event_msg" && l.Payload.Info.Total != nil && p.session == "":
		c.before = *l.Payload.Info.Total
	case l.Type == "rdev.session_total_unknown":
		c.lost = true
	case l.Type == "thread.started":
		p.started(contract.AgentEvent{Session: l.ThreadID})
	case l.Type == "turn.started":
		p.verdict = nil
		c.acted = true
	case l.Type == "item.started" && l.Item != nil:
		return c.item(p, *l.Item, false)
	case l.Type == "item.completed" && l.Item != nil:
		return c.item(p, *l.Item, true)
	case l.Type == "item.updated":
		// What it tells comes again when the item is completed.
	case l.Type == "error":
		c.wrong(p, l.Message)
	case l.Type == "turn.completed" && l.Usage != nil:
		c.use(p, *l.Usage)
		p.verdict = &verdict{ok: true, stopReason: "end_turn"}
	case l.Type == "turn.failed" && l.Error != nil:
		message := l.Error.Message
		p.verdict = &verdict{stopReason: "error", problem: problem{httpStatus: statusIn(message), message: message}}
		if strings.Contains(message, "max_output_tokens") {
			p.verdict.stopReason = "max_tokens"
		}
	default:
		return false
	}
	return true
}

func (c *codexLines) wrong(p *Parser, message string) {
	found := codexRetry.FindStringSubmatch(message)
	if found == nil {
		p.wrong(problem{httpStatus: statusIn(message), message: message})
		return
	}
	attempt, _ := strconv.Atoi(found[1]) // 0 where there are too many digits
	most, _ := strconv.Atoi(found[2])
	p.retry(contract.AgentEvent{
		Attempt: attempt, MaxRetries: most, Message: cmp.Or(found[3], message), HTTPStatus: statusIn(message),
	})
}

// use tells what the run used of what the session did.
func (c *codexLines) use(p *Parser, now codexUsage) {
	before, lost := c.before, c.lost
	c.before, c.lost = now, false
	if lost {
		p.emit(contract.AgentEvent{Type: contract.AgentNotice, Code: "usage_unknown", Message: "what the session used before is not known"})
		return
	}
	p.use(contract.Usage{
		Scope:            "run",
		InputTokens:      max(0, now.Input-now.Cached-now.CacheWrite-(before.Input-before.Cached-before.CacheWrite)),
		CacheReadTokens:  max(0, now.Cached-before.Cached),
		CacheWriteTokens: max(0, now.CacheWrite-before.CacheWrite),
		OutputTokens:     max(0, now.Output-before.Output),
		ReasoningTokens:  max(0, now.Reasoning-before.Reasoning),
	})
}

// turn counts a call of the model where an item is the first after a tool.
func (c *codexLines) turn(p *Parser) {
	if c.acted {
		p.totals.Turns++
		c.acted = false
	}
}
