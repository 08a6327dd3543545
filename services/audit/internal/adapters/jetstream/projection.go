// Package jetstream joins the audit's use cases to the event log.
package jetstream

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// Projection feeds the log to the view. It implements bus.Projection and belongs
// to one call of bus.Conn.RunProjection.
type Projection struct {
	App     *app.App
	Illegal prometheus.Counter

	position uint64
}

// Position implements bus.Projection.
func (p *Projection) Position(ctx context.Context) (uint64, error) {
	position, err := p.App.View.Position(ctx)
	p.position = position
	return position, err
}

// Decode implements bus.Projection.
func (p *Projection) Decode(e bus.Event) any {
	event := eventOf(e)
	event.Decode()
	return event
}

// Apply implements bus.Projection.
func (p *Projection) Apply(ctx context.Context, events []bus.Event) error {
	batch := make([]app.Event, len(events))
	for i, e := range events {
		batch[i], _ = e.Decoded.(app.Event)
	}
	illegal, err := p.App.ProjectEvents(ctx, p.position, batch)
	if err != nil {
		return err
	}
	p.position = batch[len(batch)-1].Seq
	p.Illegal.Add(float64(illegal))
	return nil
}

func eventOf(e bus.Event) app.Event {
	return app.Event{
		Seq: e.Seq, ID: e.ID, Entity: e.Entity, Type: e.Type, Key: e.Key,
		Project: e.Project, Actor: e.Actor, Time: e.Time, Data: e.Data,
		Headers: app.Headers{
			Source:      e.Header.Get(contract.HeaderSource),
			Traceparent: e.Header.Get(contract.HeaderTraceparent),
			Tracestate:  e.Header.Get("tracestate"),
			Guard:       e.Header.Get("Nats-Expected-Last-Subject-Sequence"),
		},
	}
}
