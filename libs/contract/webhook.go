package contract

import "time"

// ServiceNotifier is the name under which the notifier answers requests.
const ServiceNotifier = "notifier"

// Verbs that the notifier answers; the comments name request and reply.
const (
	VerbCreateWebhook  = "create"     // CreateWebhook → Webhook, with its secret
	VerbListWebhooks   = "list"       // ListWebhooks → WebhookList
	VerbGetWebhook     = "get"        // GetWebhook → Webhook
	VerbDeleteWebhook  = "delete"     // DeleteWebhook → WebhookDeleted
	VerbListDeliveries = "deliveries" // ListDeliveries → DeliveryList
)

// Webhook is an endpoint that events are sent to.
type Webhook struct {
	ID     string   `json:"id"` // UUID, lower case
	URL    string   `json:"url"`
	Events []string `json:"events"` // operation.completed, operation.*, or *
	// Projects are the slugs whose events are sent; all events where empty.
	Projects    []string  `json:"projects"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"created_at"`
	// Secret, whsec_…, is what deliveries are signed with: set on creation only.
	Secret string `json:"secret,omitempty"`
}

// CreateWebhook registers an endpoint. It is sent what happens from then on.
type CreateWebhook struct {
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Projects    []string `json:"projects,omitempty"`
	Description string   `json:"description,omitempty"`
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

// GetWebhook asks for an endpoint.
type GetWebhook struct {
	ID string `json:"id"`
}

// DeleteWebhook removes an endpoint, its deliveries, and what is still due to it.
type DeleteWebhook struct {
	ID string `json:"id"`
}

// WebhookDeleted answers DeleteWebhook.
type WebhookDeleted struct{}

// ListDeliveries asks for the deliveries to an endpoint, the newest event first.
type ListDeliveries struct {
	ID     string `json:"id"`               // of the endpoint
	Limit  int    `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor string `json:"cursor,omitempty"` // NextCursor of the page before
}

// DeliveryList is a page of deliveries.
type DeliveryList struct {
	Deliveries []Delivery `json:"deliveries"`
	NextCursor *string    `json:"next_cursor"` // null on the last page
}

// DeliveryStatus is where a delivery stands.
type DeliveryStatus string

// The statuses of a delivery.
const (
	DeliveryPending   DeliveryStatus = "pending"   // not answered with 2xx yet
	DeliveryDelivered DeliveryStatus = "delivered" // answered with 2xx
	DeliveryDead      DeliveryStatus = "dead"      // given up after the last attempt
)

// Delivery is one event on its way to one endpoint.
type Delivery struct {
	ID            string            `json:"id"`
	EventID       string            `json:"event_id"` // ce-id; webhook-id of every attempt
	Seq           uint64            `json:"seq"`      // of the event in RDEV_EVENTS
	Type          string            `json:"type"`     // operation.completed
	Status        DeliveryStatus    `json:"status"`
	Attempts      []DeliveryAttempt `json:"attempts"`
	NextAttemptAt *time.Time        `json:"next_attempt_at"` // null where none is planned
}

// DeliveryAttempt is one request to an endpoint.
type DeliveryAttempt struct {
	At         time.Time `json:"at"`
	StatusCode int       `json:"status_code,omitempty"` // absent where there was no answer
	DurationMS int64     `json:"duration_ms"`
	Error      string    `json:"error,omitempty"` // absent where it was delivered
}

// Header names of a webhook request, besides those of Standard Webhooks and
// CloudEvents.
const (
	HeaderSeq     = "Rdev-Seq"      // of the event in RDEV_EVENTS
	HeaderPrevSeq = "Rdev-Prev-Seq" // of the event sent to the endpoint before it, 0 for the first
)
