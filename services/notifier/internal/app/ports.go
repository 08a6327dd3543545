// Package app holds the use cases of the notifier: endpoints, and the events
// that are sent to them.
//
// The rule to know: every event that an endpoint wants becomes a row before it
// is due, and the row tells what became of it. Deliveries happen at least once;
// webhook-id tells a receiver what it had before.
package app

import (
	"context"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Event is an event on its way to endpoints.
type Event struct {
	ID      string            // ce-id; a token of a subject
	Seq     uint64            // in RDEV_EVENTS
	Type    string            // operation.completed
	Project string            // slug, empty where the event belongs to none
	Header  map[string]string // to send along: ce-*, Rdev-*, traceparent
	Data    []byte            // JSON
}

// Endpoint is where events are sent to.
type Endpoint struct {
	Webhook  contract.Webhook // without the secret
	Secret   string
	AfterSeq uint64 // it is sent what came later
}

// Filter says which events the endpoint is sent.
func (e Endpoint) Filter() domain.Filter {
	return domain.Filter{Events: e.Webhook.Events, Projects: e.Webhook.Projects, AfterSeq: e.AfterSeq}
}

// Endpoints keeps endpoints.
type Endpoints interface {
	// Add keeps a new endpoint.
	Add(ctx context.Context, endpoint Endpoint) error
	// Get returns an endpoint, or contract.ErrNotFound.
	Get(ctx context.Context, id string) (Endpoint, error)
	// All returns every endpoint.
	All(ctx context.Context) ([]Endpoint, error)
	// List returns up to limit endpoints, the newest first, from the first older
	// than the id before, or the newest where it is empty: those all of whose
	// projects a pattern of within matches, or all where there is none.
	List(ctx context.Context, within []string, before string, limit int) ([]contract.Webhook, error)
	// Remove forgets an endpoint and its deliveries, or returns contract.ErrNotFound.
	Remove(ctx context.Context, id string) error
}

// Planned is a delivery together with what is needed to make it.
type Planned struct {
	URL      string
	Secret   string
	Status   contract.DeliveryStatus
	Attempts int    // made so far
	PrevSeq  uint64 // of the event sent to the endpoint before it, 0 for the first
}

// Deliveries keeps what became of every event for every endpoint.
type Deliveries interface {
	// Plan notes that an event is to be sent; doing so again changes nothing. The
	// events of one endpoint are planned in the order of the log.
	Plan(ctx context.Context, endpoint string, event Event) error
	// Find returns a delivery, or contract.ErrNotFound where it was never planned
	// or its endpoint was removed.
	Find(ctx context.Context, endpoint, event string) (Planned, error)
	// Record adds an attempt and says where the delivery stands after it.
	Record(ctx context.Context, endpoint, event string, attempt contract.DeliveryAttempt, status contract.DeliveryStatus, next *time.Time) error
	// ListOf returns up to limit deliveries to an endpoint, the newest event first,
	// from the first before the sequence, or the newest where it is 0.
	ListOf(ctx context.Context, endpoint string, before uint64, limit int) ([]contract.Delivery, error)
}

// Queue holds deliveries until they are due.
type Queue interface {
	// Due has an event delivered to an endpoint as soon as possible.
	Due(ctx context.Context, endpoint string, event Event) error
	// Drop forgets all that is due to an endpoint.
	Drop(ctx context.Context, endpoint string) error
	// LastEvent is the sequence of the newest event of the log.
	LastEvent(ctx context.Context) (uint64, error)
}

// Sender makes requests to endpoints.
type Sender interface {
	// Send posts an event once, signed with the secret. The attempt's Error is
	// empty where the endpoint answered with 2xx.
	Send(ctx context.Context, url, secret string, event Event) contract.DeliveryAttempt
}
