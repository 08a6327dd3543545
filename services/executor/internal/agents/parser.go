package agents

import (
	"bytes"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// maxStderr is how much of the end of standard error is kept, in bytes.
const maxStderr = 4 << 10

// Parser makes events of what one run of a CLI prints. It takes pieces that end
// anywhere, never fails, and is for one goroutine.
type Parser struct {
	provider   string
	translator translator
	lines      lines
	stderr     []byte
	secrets    *redact.Secrets
	speech     *speech // the text that is under way in pieces, nil where none is

	at     time.Time
	seq    int
	events []contract.AgentEvent // of the current call

	session    string
	words      string // the last that the agent said
	totals     Totals
	interim    contract.Usage // what is known of it before the CLI tells, for a while
	denied     []string
	authFailed bool

	requests []Request // that wait for an answer
	settled  map[string]bool

	verdict *verdict // how the agent says that it ended, nil while it does not
	problem *problem // the last error that it reported
}

// translator turns the lines of one provider into events.
type translator interface {
	// translate emits the events of a line. It returns false, and has emitted
	// nothing, for a line that it does not know.
	translate(p *Parser, line []byte) bool
}

// verdict is how an agent says that its run ended.
type verdict struct {
	ok         bool
	stopReason string
	problem    problem // where not ok
}

// Totals are what a run has used so far, as far as its CLI tells before the end.
// Claude Code tells what came in, and not what went out: that is guessed by its
// length until the end.
type Totals struct {
	// Turns counts calls of the model. Codex and Gemini do not tell: there it is
	// made out from what follows a tool, and can be more.
	Turns int
	// Usage is nil until the CLI told something.
	Usage *contract.Usage
}

func newParser(driver Driver, t translator) *Parser {
	return &Parser{provider: driver.Info().Name, translator: t, lines: lines{max: maxLine}}
}

// Redact masks the secrets of the run in all that the parser tells. It masks what
// the lines say, whatever way that is escaped in them, and before it is cut. It
// comes before the first piece of output.
func (p *Parser) Redact(secrets *redact.Secrets) { p.secrets = secrets }

// Stdout takes a piece of standard output that was read at a time, and returns
// the events of the lines that it completes.
func (p *Parser) Stdout(piece []byte, at time.Time) []contract.AgentEvent {
	p.at = at
	for whole := range p.lines.add(piece) {
		p.line(whole)
	}
	return p.take()
}

// Stderr takes a piece of standard error, in which secrets are masked already. It
// makes no events; its end explains a run that ended without a result.
func (p *Parser) Stderr(piece []byte) {
	p.stderr = append(p.stderr, piece...)
	if surplus := len(p.stderr) - maxStderr; surplus > 0 {
		p.stderr = slices.Delete(p.stderr, 0, surplus)
	}
}

// Finished tells whether the agent said how its run ended. A CLI that lives on
// is to be ended then, after a while, and so is its standard input. It can turn
// false again where the agent goes on after all.
func (p *Parser) Finished() bool { return p.verdict != nil }

// Session is the provider's id of the session, "" while it is not known.
func (p *Parser) Session() string { return p.session }

// AuthFailed tells whether the model's API refused the key. The CLI may try
// again for minutes, which can not help: it is to be ended at once.
func (p *Parser) AuthFailed() bool { return p.authFailed }

// Totals are what the run has used so far.
func (p *Parser) Totals() Totals {
	totals := p.totals
	if totals.Usage == nil && p.interim == (contract.Usage{}) {
		return totals
	}
	usage := contract.Usage{Scope: "run"}
	if totals.Usage != nil {
		usage = *totals.Usage
	}
	usage.InputTokens += p.interim.InputTokens
	usage.CacheReadTokens += p.interim.CacheReadTokens
	usage.CacheWriteTokens += p.interim.CacheWriteTokens
	usage.OutputTokens += p.interim.OutputTokens
	usage.Estimated = usage.Estimated || p.interim.OutputTokens > 0
	totals.Usage = &usage
	return totals
}

func (p *Parser) line(whole line) {
	if len(bytes.TrimSpace(whole.data)) == 0 && !whole.cut {
		return
	}
	if whole.cut || !p.translator.translate(p, whole.data) {
		raw := contract.AgentEvent{Type: contract.AgentRaw, Line: string(whole.data)}
		if whole.cut {
			raw.Code = "line_too_long"
		}
		p.emit(raw)
	}
}

func (p *Parser) take() []contract.AgentEvent {
	events := p.events
	p.events = nil
	return events
}

func (p *Parser) emit(e contract.AgentEvent) {
	if e.Type != contract.AgentRaw { // which may come in between, from anywhere
		p.endSpeech()
	}
	p.redact(&e)
	p.append(e)
}

// append is emit for an event in which nothing is left to be masked.
func (p *Parser) append(e contract.AgentEvent) {
	p.seq++
	e.Seq, e.Time = p.seq, p.at
	fit(&e)
	p.events = append(p.events, e)
}

// started tells of the session, once for each id.
func (p *Parser) started(e contract.AgentEvent) {
	if e.Session == "" || e.Session == p.session {
		return
	}
	p.session = e.Session
	e.Type, e.Provider = contract.AgentSession, p.provider
	p.emit(e)
}

// say emits text or thinking, which e is but for Text, in as many events as it takes.
func (p *Parser) say(e contract.AgentEvent, text string) {
	p.endSpeech()
	p.redact(&e)
	p.utter(e, p.secrets.Text(text))
}

// utter is say for a text in which nothing is left to be masked.
func (p *Parser) utter(e contract.AgentEvent, text string) {
	if e.Type == contract.AgentText {
		if !e.Delta {
			p.words = ""
		}
		p.words = cut(p.words+text, maxText)
	}
	for text != "" {
		e.Text = cut(text, maxText)
		p.append(e)
		text = text[len(e.Text):]
		e.Delta = true
	}
}

// use adds tokens and money to the totals and tells of them. They stand for what was
// known of them in the interim.
func (p *Parser) use(u contract.Usage) {
	p.interim = contract.Usage{}
	p.emit(contract.AgentEvent{Type: contract.AgentUsage, Usage: &u})
	if p.totals.Usage == nil {
		p.totals.Usage = &contract.Usage{Scope: "run"}
	}
	total := p.totals.Usage
	total.InputTokens += u.InputTokens
	total.CacheReadTokens += u.CacheReadTokens
	total.CacheWriteTokens += u.CacheWriteTokens
	total.OutputTokens += u.OutputTokens
	total.ReasoningTokens += u.ReasoningTokens
	if u.CostUSD != nil {
		cost := *u.CostUSD
		if total.CostUSD != nil {
			cost += *total.CostUSD
		}
		total.CostUSD = &cost
	}
}

// wrong tells of an error and remembers it.
func (p *Parser) wrong(found problem) {
	p.problem = &found
	p.emit(contract.AgentEvent{
		Type: contract.AgentError, Message: found.message, Code: found.code, HTTPStatus: found.httpStatus,
	})
}

// retry tells that a call of the model is tried again, and notes a key that was refused.
func (p *Parser) retry(e contract.AgentEvent) {
	e.Type = contract.AgentRetry
	p.emit(e)
	if e.HTTPStatus == 401 || e.Code == "authentication_failed" {
		p.authFailed = true
		p.problem = &problem{httpStatus: e.HTTPStatus, code: e.Code, message: e.Message}
	}
}

func (p *Parser) deny(tool string) {
	if tool != "" && len(p.denied) < maxDenied && !slices.Contains(p.denied, p.secrets.Text(tool)) {
		p.denied = append(p.denied, cut(p.secrets.Text(tool), maxWord))
	}
}

// toolKind is the kind of a tool by its name, for those that the agents come with.
func toolKind(name string) string {
	switch name {
	case "Bash", "BashOutput", "bash", "run_shell_command", "command_execution":
		return "execute"
	case "Write", "Edit", "MultiEdit", "NotebookEdit", "write", "edit", "patch", "multiedit",
		"write_file", "replace", "file_change":
		return "edit"
	case "Read", "read", "read_file", "read_many_files":
		return "read"
	case "Grep", "Glob", "LS", "grep", "glob", "list", "search_file_content", "grep_search", "list_directory":
		return "search"
	case "WebFetch", "WebSearch", "webfetch", "websearch", "web_fetch", "web_search", "google_web_search":
		return "fetch"
	default:
		return "other"
	}
}
