package contract

import (
	"fmt"
	"time"
)

// ServiceNotifier is the name under which the notifier answers requests.
const ServiceNotifier = "notifier"

// Verbs that the notifier answers; the comments name request and reply.
const (
	VerbCreateWebhook  = "create"     // CreateWebhook → Webhook, with its secret
	VerbListWebhooks   = "list"       // ListWebhooks → WebhookList
	VerbGetWebhook     = "get"        // GetWebhook → Webhook
	VerbUpdateWebhook  = "update"     // UpdateWebhook → Webhook
	VerbRotateWebhook  = "rotate"     // RotateWebhook → Webhook, with its new secret
	VerbEnableWebhook  = "enable"     // GetWebhook → Webhook
	VerbTestWebhook    = "test"       // GetWebhook → DeliveryAttempt
	VerbDeleteWebhook  = "delete"     // DeleteWebhook → WebhookDeleted
	VerbListDeliveries = "deliveries" // ListDeliveries → DeliveryList
	VerbRedeliver      = "redeliver"  // Redeliver → Redelivering
)

// Types of the events of a webhook. Its table is the truth: the log is told what
// it became, and of several changes in short time maybe only the last.
const (
	TypeWebhookCreated  = "created"
	TypeWebhookUpdated  = "updated"
	TypeWebhookRotated  = "rotated"
	TypeWebhookEnabled  = "enabled"
	TypeWebhookDisabled = "disabled" // by rdev: DisabledReason says why
	TypeWebhookDeleted  = "deleted"
)

// Webhook is an endpoint that events are sent to, in the order of the log.
type Webhook struct {
	ID     string   `json:"id"`             // UUID, lower case
	Name   string   `json:"name,omitempty"` // unique, where it has one
	URL    string   `json:"url"`
	Events []string `json:"events"` // operation.completed, operation.*, or *
	// Projects are the slugs whose events are sent; all events where empty.
	Projects    []string `json:"projects"`
	Description string   `json:"description"`
	// Headers go along with every request. Answers have HiddenHeader for their values.
	Headers map[string]string `json:"headers,omitempty"`
	// Rate is the most requests in a second, 0 for no limit.
	Rate int `json:"rate,omitempty"`
	// RetryClientErrors tries again what was answered with 4xx, as if it were 5xx:
	// otherwise that is a dead letter at once.
	RetryClientErrors bool `json:"retry_client_errors,omitempty"`

	Enabled        bool   `json:"enabled"`
	DisabledReason string `json:"disabled_reason,omitempty"` // where rdev disabled it

	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	Rev       int       `json:"rev"`

	Health WebhookHealth `json:"health"`

	// Secret, whsec_…, is what deliveries are signed with: set on creation and on
	// rotation only.
	Secret string `json:"secret,omitempty"`
	// OldSecretUntil is until when deliveries are signed with the secret before, too.
	OldSecretUntil *time.Time `json:"old_secret_until,omitempty"`

	// Seq is the sequence of the last event in RDEV_EVENTS, set on reading.
	Seq uint64 `json:"seq,omitempty"`
}

// NextWebhook is the webhook after an event of a type, made of what the writer
// proposes: a later revision. Its table counts them, so some may be missing.
func NextWebhook(prev *Webhook, eventType string, proposed Webhook) (Webhook, error) {
	next := proposed
	next.Seq, next.Secret = 0, ""
	if prev != nil && proposed.Rev <= prev.Rev {
		return Webhook{}, fmt.Errorf("%w: %s of a webhook at revision %d, after revision %d", ErrIllegal, eventType, proposed.Rev, prev.Rev)
	}
	return next, nil
}

// HiddenHeader stands for the value of a custom header, which is never told.
const HiddenHeader = "(hidden)"

// WebhookHealth is how an endpoint does.
type WebhookHealth struct {
	// Seq is the sequence up to which its events are settled: delivered, or given up.
	Seq uint64 `json:"seq"`
	// Failures counts the attempts that failed since one went well.
	Failures      int        `json:"failures"`
	FailingSince  *time.Time `json:"failing_since,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"` // where it is waited for
	LastError     string     `json:"last_error,omitempty"`
}

// CreateWebhook registers an endpoint. It is sent what happens from then on.
type CreateWebhook struct {
	Name              string            `json:"name,omitempty"`
	URL               string            `json:"url"`
	Events            []string          `json:"events"`
	Projects          []string          `json:"projects,omitempty"`
	Description       string            `json:"description,omitempty"`
	Headers           map[string]string `json:"headers,omitempty"`
	Rate              int               `json:"rate,omitempty"`
	RetryClientErrors bool              `json:"retry_client_errors,omitempty"`
	// ID is of the endpoint, where the caller chooses it, so that asking again makes no
	// second one.
	ID string `json:"id,omitempty"`
}

// UpdateWebhook changes what is not nil. An endpoint that is disabled loses nothing:
// once it is enabled it gets what it missed.
type UpdateWebhook struct {
	ID                string             `json:"id"`
	Name              *string            `json:"name,omitempty"`
	URL               *string            `json:"url,omitempty"`
	Events            []string           `json:"events,omitempty"`
	Projects          *[]string          `json:"projects,omitempty"`
	Description       *string            `json:"description,omitempty"`
	Headers           *map[string]string `json:"headers,omitempty"` // HiddenHeader keeps a value
	Rate              *int               `json:"rate,omitempty"`
	RetryClientErrors *bool              `json:"retry_client_errors,omitempty"`
	Enabled           *bool              `json:"enabled,omitempty"`
}

// RotateWebhook gives an endpoint a new secret. Deliveries are signed with the last
// one, too, for as long as the overlap.
type RotateWebhook struct {
	ID      string   `json:"id"`
	Overlap Duration `json:"overlap"`
	// Request names the request: one that comes again is answered without the secret.
	Request string `json:"request,omitempty"`
}

// ListWebhooks asks for endpoints, the newest first.
type ListWebhooks struct {
	Limit  int    `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor string `json:"cursor,omitempty"` // NextCursor of the page before
	// Within are slugs, or patterns as "ci-*": endpoints are listed whose events are
	// all of such projects, unless there are none.
	Within []string `json:"within,omitempty"`
}

// WebhookList is a page of endpoints.
type WebhookList struct {
	Webhooks   []Webhook `json:"webhooks"`
	NextCursor *string   `json:"next_cursor"` // null on the last page
}

// GetWebhook names an endpoint.
type GetWebhook struct {
	ID string `json:"id"`
}

// DeleteWebhook removes an endpoint and its deliveries.
type DeleteWebhook struct {
	ID string `json:"id"`
}

// WebhookDeleted answers DeleteWebhook.
type WebhookDeleted struct{}

// ListDeliveries asks for the deliveries to an endpoint, the newest event first: those
// that were tried. What is still to be tried is what the log has after Health.Seq.
type ListDeliveries struct {
	ID     string         `json:"id"`               // of the endpoint
	Status DeliveryStatus `json:"status,omitempty"` // any where ""
	Type   string         `json:"type,omitempty"`   // operation.completed; any where ""
	Limit  int            `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor string         `json:"cursor,omitempty"` // NextCursor of the page before
}

// DeliveryList is a page of deliveries.
type DeliveryList struct {
	Deliveries []Delivery `json:"deliveries"`
	NextCursor *string    `json:"next_cursor"` // null on the last page
}

// Redeliver has events sent again, with the same webhook-id. With Delivery it is that
// one; with Status those of the endpoint's deliveries from FromSeq to ToSeq that have
// it. With FromSeq alone the endpoint goes back, and gets in order all that the log has
// from there.
type Redeliver struct {
	ID       string         `json:"id"` // of the endpoint
	Delivery string         `json:"delivery,omitempty"`
	Status   DeliveryStatus `json:"status,omitempty"`
	FromSeq  uint64         `json:"from_seq,omitempty"`
	ToSeq    uint64         `json:"to_seq,omitempty"` // 0 for the end
}

// Redelivering answers Redeliver.
type Redelivering struct {
	// Deliveries is how many wait to be sent again; with FromSeq alone 0.
	Deliveries int `json:"deliveries"`
	// FromSeq is where the endpoint went back to, 0 where it did not.
	FromSeq uint64 `json:"from_seq,omitempty"`
}

// DeliveryStatus is where a delivery stands.
type DeliveryStatus string

// The statuses of a delivery.
const (
	DeliveryPending   DeliveryStatus = "pending"   // not answered with 2xx yet
	DeliveryDelivered DeliveryStatus = "delivered" // answered with 2xx
	DeliveryDead      DeliveryStatus = "dead"      // given up
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID            string            `json:"id"`       // the sequence of the event
	EventID       string            `json:"event_id"` // ce-id; webhook-id of every attempt
	Seq           uint64            `json:"seq"`      // of the event in RDEV_EVENTS
	Type          string            `json:"type"`     // operation.completed
	Status        DeliveryStatus    `json:"status"`
	Attempts      []DeliveryAttempt `json:"attempts"`        // the latest of them
	NextAttemptAt *time.Time        `json:"next_attempt_at"` // null where none is planned
}

// DeliveryAttempt is one request to an endpoint.
type DeliveryAttempt struct {
	At         time.Time `json:"at"`
	StatusCode int       `json:"status_code,omitempty"` // absent where there was no answer
	DurationMS int64     `json:"duration_ms"`
	Error      string    `json:"error,omitempty"` // absent where it was delivered
	// Response is how the body of an answer begins that was no 2xx.
	Response string `json:"response,omitempty"`
}

// Header names of a webhook request, besides those of Standard Webhooks and
// CloudEvents.
const (
	HeaderSeq = "Rdev-Seq" // of the event in RDEV_EVENTS
	// HeaderPrevSeq is that of the event sent to the endpoint before it: 0 for the first,
	// and where the log has forgotten what may have been between.
	HeaderPrevSeq = "Rdev-Prev-Seq"
)
