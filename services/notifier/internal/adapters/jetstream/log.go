// Package jetstream reads the event log for the notifier, and tells it of endpoints.
package jetstream

import (
	"context"
	"regexp"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

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

// idPattern is what may be a token of a URL and a header's value.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// sent are the headers of an event that go along to endpoints.
func sent() []string {
	return []string{
		contract.HeaderEventID, contract.HeaderType, contract.HeaderSource, contract.HeaderSubject, contract.HeaderTime,
		contract.HeaderSpecVersion, contract.HeaderProject, contract.HeaderTraceparent,
	}
}

// eventOf makes an event to send of one of the log. One that was published by hand
// may lack an id; its sequence stands in.
func eventOf(e bus.Event) *app.Event {
	event := &app.Event{
		ID: e.ID, Seq: e.Seq, Type: e.Entity + "." + e.Type, Project: e.Project, Time: e.Time, Data: e.Data, Header: headers(e.Header),
	}
	if !idPattern.MatchString(event.ID) {
		event.ID = "seq-" + strconv.FormatUint(e.Seq, 10)
	}
	event.Header[contract.HeaderEventID] = event.ID
	event.Header[contract.HeaderSeq] = strconv.FormatUint(e.Seq, 10)
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
