package agents

import (
	"encoding/json"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
)

// Request is something that an agent asks for, and waits until it is answered.
type Request struct {
	ID string // the agent's own, unique in its run
	// Event is the event that told of it: with its secrets masked, and cut to fit.
	Event contract.AgentEvent

	input json.RawMessage // as the agent has it
}

// answerer is a translator whose agent asks for permissions.
type answerer interface {
	// answer is what to write to the agent's standard input to allow what it asks
	// for, or to deny it with words.
	answer(request Request, allow bool, words string) []byte
}

// Requests are those that the agent waits for, the oldest first.
func (p *Parser) Requests() []Request { return slices.Clone(p.requests) }

// Asked is how many requests the agent made and saw settled so far: another number
// means that Requests are others.
func (p *Parser) Asked() int { return len(p.requests) + 2*len(p.settled) }

// Settled tells whether the agent asked and does not wait any more: it was answered,
// or went on without.
func (p *Parser) Settled(id string) bool { return p.settled[id] }

// Answer is what to write to the agent's standard input to answer a request, or nil
// where nobody waits for it.
func (p *Parser) Answer(id string, allow bool, words string) []byte {
	at := slices.IndexFunc(p.requests, func(r Request) bool { return r.ID == id })
	answers, ok := p.translator.(answerer)
	if at < 0 || !ok {
		return nil
	}
	return answers.answer(p.requests[at], allow, words)
}

// ask notes a request, and tells of it.
func (p *Parser) ask(id string, e contract.AgentEvent) {
	input := slices.Clone(e.Input)
	e.Type = contract.AgentPermission
	p.emit(e)
	if contract.ValidOperationID(id) && !p.settled[id] && !p.asks(func(r Request) bool { return r.ID == id }) {
		p.requests = append(p.requests, Request{ID: id, Event: p.events[len(p.events)-1], input: input})
	}
}

// settle ends the requests that are over.
func (p *Parser) settle(over func(Request) bool) {
	p.requests = slices.DeleteFunc(p.requests, func(r Request) bool {
		if !over(r) {
			return false
		}
		if p.settled == nil {
			p.settled = map[string]bool{}
		}
		p.settled[r.ID] = true
		return true
	})
}

func (p *Parser) asks(like func(Request) bool) bool { return slices.ContainsFunc(p.requests, like) }
