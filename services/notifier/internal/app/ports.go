// Package app holds the use cases of the notifier: endpoints, and the events
// that are sent to them.
//
// The rule to know: an endpoint is a cursor over the event log. What comes after
// the cursor is still to be sent, in order; nothing is planned, and nothing is lost
// while the log has it. An attempt is recorded together with the cursor, after it was
// made: a process that dies in between makes it again, with the same webhook-id.
package app

import (
	"context"
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Event is an event on its way to endpoints. It is shared, and only read.
type Event struct {
	ID      string // ce-id; a token of a URL
	Seq     uint64 // in RDEV_EVENTS
	Type    string // operation.completed
	Project string // slug, empty where the event belongs to none
	Time    time.Time
	Header  http.Header // to send along: ce-*, Rdev-Seq, traceparent; never changed
	Data    []byte      // JSON
}

// Endpoint is where events are sent to.
type Endpoint struct {
	Webhook contract.Webhook // without the secret, and with the values of its headers
	Secret  string
	// OldSecret signs, too, until Webhook.OldSecretUntil.
	OldSecret string
	RotatedBy string // the request that did it last
	EnabledAt time.Time

	PrevSeq   uint64 // of the last event that was sent
	Epoch     int    // counts how often it was set back
	ChangeSeq int64  // order of its last change among those of all endpoints
	Deleted   bool
	Again     bool   // deliveries are to be made again
	Change    string // type of the last change, TypeWebhook…
}

// Filter says which events the endpoint is sent.
func (e Endpoint) Filter() domain.Filter {
	return domain.NewFilter(e.Webhook.Events, e.Webhook.Projects)
}

// secrets are those that sign at a time, the newest first.
func (e Endpoint) secrets(now time.Time) []string {
	if until := e.Webhook.OldSecretUntil; e.OldSecret != "" && until != nil && now.Before(*until) {
		return []string{e.Secret, e.OldSecret}
	}
	return []string{e.Secret}
}

// Endpoints keeps endpoints.
type Endpoints interface {
	// Add keeps a new endpoint, or returns ErrTaken where its id or name is another's.
	Add(ctx context.Context, endpoint Endpoint) error
	// Get returns an endpoint, or contract.ErrNotFound.
	Get(ctx context.Context, id string) (Endpoint, error)
	// Update changes an endpoint as change says, which an error leaves as it is, or
	// returns contract.ErrNotFound or ErrTaken.
	Update(ctx context.Context, id, what string, change func(*Endpoint) error) (Endpoint, error)
	// Count is how many endpoints there are.
	Count(ctx context.Context) (int, error)
	// List returns up to limit endpoints, the newest first, from the first older
	// than the id before, or the newest where it is empty: those all of whose
	// projects a pattern of within matches, or all where there is none.
	List(ctx context.Context, within []string, before string, limit int) ([]Endpoint, error)
	// Changed returns up to limit endpoints that were changed after a change, in the
	// order of their changes; with those that were deleted.
	Changed(ctx context.Context, after int64, limit int) ([]Endpoint, error)
	// Unannounced returns endpoints whose last change the log does not know.
	Unannounced(ctx context.Context, limit int) ([]Endpoint, error)
	// Announced notes that the log knows an endpoint up to a revision, and forgets one
	// that was deleted.
	Announced(ctx context.Context, id string, rev int) error
}

// Result is an attempt that was made, and where the endpoint stands after it.
type Result struct {
	Endpoint string
	Epoch    int
	Event    *Event
	PrevSeq  uint64 // of the endpoint's event before it
	Attempt  contract.DeliveryAttempt
	// Status of the delivery; of a redelivery "" where the attempt failed, which
	// changes nothing.
	Status     contract.DeliveryStatus
	Redelivery bool

	// Of the endpoint; not of a redelivery.
	Cursor        uint64 // events up to it are settled
	Sent          uint64 // PrevSeq of what comes next
	Failures      int
	FailingSince  *time.Time
	NextAttemptAt *time.Time
	Disabled      string // why, "" where it is not
}

// Mark is a cursor that moved on without an attempt.
type Mark struct {
	Endpoint string
	Epoch    int
	Cursor   uint64
}

// Redelivery is a delivery that is to be made again.
type Redelivery struct {
	EventID string
	Seq     uint64
	PrevSeq uint64
}

// Deliveries keeps what was tried.
type Deliveries interface {
	// Record stores results, in order and all or none of them. Those of endpoints that
	// are gone, and the cursors of those that were set back, change nothing.
	Record(ctx context.Context, results []Result) error
	// Mark stores cursors that moved on.
	Mark(ctx context.Context, marks []Mark) error
	// ListOf returns up to limit deliveries to an endpoint, the newest event first.
	ListOf(ctx context.Context, filter DeliveryFilter) ([]contract.Delivery, error)
	// Redeliver has deliveries made again, and counts them.
	Redeliver(ctx context.Context, filter DeliveryFilter) (int, error)
	// Redeliveries returns up to limit that are to be made again, in order.
	Redeliveries(ctx context.Context, endpoint string, limit int) ([]Redelivery, error)
	// Prune forgets deliveries whose last attempt is older, and counts them.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// DeliveryFilter says which deliveries of an endpoint are meant.
type DeliveryFilter struct {
	Endpoint string
	Status   contract.DeliveryStatus // any where ""
	Type     string                  // any where ""
	FromSeq  uint64
	ToSeq    uint64 // 0 for no end
	Limit    int    // 0 for none
}

// Log is the event log.
type Log interface {
	// Last is the sequence of the newest event.
	Last(ctx context.Context) (uint64, error)
	// Tail feeds every event after a sequence to emit, in order, history and live
	// alike, until ctx is done.
	Tail(ctx context.Context, after uint64, emit func(*Event)) error
	// Read returns the events after a sequence, up to and including another, of which
	// it is known that it was stored. What the log has forgotten is missing.
	Read(ctx context.Context, after, upTo uint64) ([]*Event, error)
	// Announce appends what became of an endpoint, unless the log knows that revision.
	Announce(ctx context.Context, change string, webhook contract.Webhook) error
}

// Request is one attempt to deliver an event.
type Request struct {
	URL     string
	Secrets []string          // that sign it, the newest first
	Headers map[string]string // of the endpoint
	Event   *Event
	PrevSeq uint64
}

// Outcome is what came of a request.
type Outcome struct {
	Status     int // 0 where there was no answer
	Duration   time.Duration
	Err        error         // why there was none
	RetryAfter time.Duration // as the endpoint wants it
	Excerpt    string        // how the body of an answer begins that was no 2xx
	Cut        bool          // the body was longer or slower than it is read, or broke off
}

// Sender makes requests to endpoints.
type Sender interface {
	Send(ctx context.Context, request Request) Outcome
}
