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
func (p *Projection) Decode(e bus.Event) app.Event {
	event := app.Event{
		Seq: e.Seq, ID: e.ID, Entity: e.Entity, Type: e.Type, Key: e.Key,
		Project: e.Project, Actor: e.Actor, Time: e.Time, Data: e.Data,
		Headers: app.Headers{
			Source:      e.Header.Get(contract.HeaderSource),
			Traceparent: e.Header.Get(contract.HeaderTraceparent),
			Tracestate:  e.Header.Get("tracestate"),
			Guard:       e.Header.Get("Nats-Expected-Last-Subject-Sequence"),
		},
	}
	if op, err := e.Operation(); err == nil && contract.ValidOperationID(op.ID) {
		event.Operation = &op
	}
	return event
}

// Apply implements bus.Projection.
func (p *Projection) Apply(ctx context.Context, events []app.Event, last uint64) error {
	illegal, err := p.App.ProjectEvents(ctx, p.position, events)
	if err != nil {
		return err
	}
	p.position = last
	p.Illegal.Add(float64(illegal))
	return nil
}
