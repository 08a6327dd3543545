package agents

import (
	"encoding/json"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/redact"
)

// redact masks the secrets in an event. The words that are rdev's own, as its type
// and why the agent stopped, stay as they are.
func (p *Parser) redact(e *contract.AgentEvent) {
	if p.secrets == nil {
		return
	}
	for _, words := range []*string{
		&e.Session, &e.Message, &e.MessageID, &e.ParentToolCall, &e.Text, &e.Model, &e.Cwd, &e.Version,
		&e.PermissionMode, &e.ToolCall, &e.Tool, &e.Title, &e.Output, &e.Code,
	} {
		*words = p.secrets.Text(*words)
	}
	e.Input = p.secrets.JSON(e.Input)
	if line := []byte(e.Line); json.Valid(line) {
		e.Line = string(p.secrets.JSON(line))
	}
	e.Line = p.secrets.Text(e.Line)
	if e.Failure != nil {
		failure := *e.Failure
		failure.Message = p.secrets.Text(failure.Message)
		e.Failure = &failure
	}
}

// speech is a text that comes in pieces, each in a line of its own: a secret may
// begin in one and end in the next.
type speech struct {
	event  contract.AgentEvent
	stream *redact.Stream
}

// sayMore is say for a piece of a text, which with e.Delta goes on with the piece
// before. What of it may be the start of a secret comes with the next piece, or
// before the next event.
func (p *Parser) sayMore(e contract.AgentEvent, piece string) {
	if p.secrets == nil {
		p.say(e, piece)
		return
	}
	if !e.Delta || p.speech == nil {
		p.endSpeech()
		p.redact(&e)
		p.speech = &speech{event: e, stream: p.secrets.Stream()}
	}
	p.sayPiece(p.speech, p.speech.stream.Feed([]byte(piece)))
}

// endSpeech tells what was held back of a text.
func (p *Parser) endSpeech() {
	ended := p.speech
	p.speech = nil
	if ended != nil {
		p.sayPiece(ended, ended.stream.End())
	}
}

// sayPiece tells a piece of a text. All but the first go on with the one before.
func (p *Parser) sayPiece(s *speech, piece []byte) {
	if len(piece) > 0 {
		p.utter(s.event, string(piece))
		s.event.Delta = true
	}
}
