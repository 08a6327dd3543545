// Package jetstream takes events from the log, and keeps deliveries in a stream
// until they are due.
package jetstream

import (
	"context"
	"regexp"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

// Queue implements app.Queue.
type Queue struct{ Bus *bus.Conn }

// Due implements app.Queue.
func (q Queue) Due(ctx context.Context, endpoint string, event app.Event) error {
	header := nats.Header{}
	for name, value := range event.Header {
		header[name] = []string{value}
	}
	return q.Bus.DueHook(ctx, endpoint, event.ID, header, event.Data)
}

// Drop implements app.Queue.
func (q Queue) Drop(ctx context.Context, endpoint string) error {
	return q.Bus.DropHooks(ctx, endpoint)
}

// LastEvent implements app.Queue.
func (q Queue) LastEvent(ctx context.Context) (uint64, error) { return q.Bus.LastEvent(ctx) }

// idPattern is what may be a token of a subject and a header's value.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// sent are the headers of an event that go along to endpoints.
func sent() []string {
	return []string{
		contract.HeaderEventID, contract.HeaderType, contract.HeaderSource, contract.HeaderSubject, contract.HeaderTime,
		contract.HeaderSpecVersion, contract.HeaderProject, contract.HeaderTraceparent,
	}
}

// EventOf makes an event to send of one of the log. One that was published by
// hand may lack an id; its sequence stands in.
func EventOf(e bus.Event) app.Event {
	event := app.Event{
		ID: e.ID, Seq: e.Seq, Type: e.Entity + "." + e.Type, Project: e.Project, Data: e.Data,
		Header: headers(e.Header),
	}
	if !idPattern.MatchString(event.ID) {
		event.ID = "seq-" + strconv.FormatUint(e.Seq, 10)
	}
	event.Header[contract.HeaderEventID] = event.ID
	event.Header[contract.HeaderSeq] = strconv.FormatUint(e.Seq, 10)
	return event
}

// eventOfHook is the event of a delivery, as far as a sender needs it.
func eventOfHook(h *bus.Hook) app.Event {
	event := app.Event{ID: h.EventID, Header: headers(h.Header), Data: h.Data}
	event.Header[contract.HeaderSeq] = h.Header.Get(contract.HeaderSeq)
	return event
}

func headers(h nats.Header) map[string]string {
	all := map[string]string{}
	for _, name := range sent() {
		if value := h.Get(name); value != "" {
			all[name] = value
		}
	}
	return all
}
