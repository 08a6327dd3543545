// Package jetstream reads the event log for the notifier, and tells it of endpoints.
package jetstream

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

// Log implements app.Log.
type Log struct{ Bus *bus.Conn }

// idle is how often a quiet tail looks whether it missed something.
const idle = 5 * time.Second

// Last implements app.Log.
func (l Log) Last(ctx context.Context) (uint64, error) { return l.Bus.LastEvent(ctx) }

// Tail implements app.Log.
func (l Log) Tail(ctx context.Context, after uint64, emit func(*app.Event)) error {
	return l.Bus.TailEvents(ctx, after, idle, func(e bus.Event) error {
		emit(eventOf(e))
		return nil
	}, func() error { return nil })
}

// Read implements app.Log.
func (l Log) Read(ctx context.Context, after, upTo uint64) ([]*app.Event, error) {
	events, err := l.Bus.ReadEvents(ctx, after, upTo)
	all := make([]*app.Event, 0, len(events))
	for _, e := range events {
		all = append(all, eventOf(e))
	}
	return all, err
}

// Announce implements app.Log.
func (l Log) Announce(ctx context.Context, change string, webhook contract.Webhook) error {
	// How an endpoint does is not told: it changes with every delivery, which then would
	// be an event to deliver.
	webhook.Health = contract.WebhookHealth{}
	_, err := l.Bus.UpdateWebhook(ctx, webhook.ID, func(known *contract.Webhook) (string, contract.Webhook, error) {
		if known != nil && known.Rev >= webhook.Rev {
			return "", contract.Webhook{}, nil
		}
		return change, webhook, nil
	})
	return err
}

// maxID is how long the id of an event may be that is sent as it is.
const maxID = 64

// isToken tells whether an id may be a token of a URL and a header's value.
func isToken(id string) bool {
	for _, c := range []byte(id) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if digit := '0' <= c && c <= '9'; !letter && !digit && c != '-' && c != '_' {
			return false
		}
	}
	return id != "" && len(id) <= maxID
}

// names are those of a header: in the log, and as net/http writes it.
type names struct{ log, http string }

// sent are the headers of an event that go along to endpoints.
func sent() [7]names {
	return [...]names{
		{contract.HeaderType, "Ce-Type"},
		{contract.HeaderSource, "Ce-Source"},
		{contract.HeaderSubject, "Ce-Subject"},
		{contract.HeaderTime, "Ce-Time"},
		{contract.HeaderSpecVersion, "Ce-Specversion"},
		{contract.HeaderProject, "Rdev-Project"},
		{contract.HeaderTraceparent, "Traceparent"},
	}
}

// eventOf makes an event to send of one of the log. One that was published by hand
// may lack an id; its sequence stands in.
func eventOf(e bus.Event) *app.Event {
	event := &app.Event{
		ID: e.ID, Seq: e.Seq, Type: e.Entity + "." + e.Type, Project: e.Project, Time: e.Time, Data: e.Data, Header: http.Header{},
	}
	seq := strconv.FormatUint(e.Seq, 10)
	if !isToken(event.ID) {
		event.ID = "seq-" + seq
	}
	for _, name := range sent() {
		if value := e.Header.Get(name.log); value != "" {
			event.Header[name.http] = []string{value}
		}
	}
	event.Header["Ce-Id"] = []string{event.ID}
	event.Header[contract.HeaderSeq] = []string{seq}
	return event
}
