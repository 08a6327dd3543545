package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Webhook is an endpoint that events are sent to. It writes itself as the JSON that
// the gateway sent.
type Webhook struct {
	contract.Webhook

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (w *Webhook) UnmarshalJSON(data []byte) error {
	return readDocument(data, &w.Webhook, &w.raw)
}

// MarshalJSON writes the document as it came.
func (w Webhook) MarshalJSON() ([]byte, error) {
	return writeDocument(w.raw, w.Webhook)
}

// WebhookChange changes what is not nil of an endpoint.
type WebhookChange struct {
	Name              *string            `json:"name,omitempty"`
	URL               *string            `json:"url,omitempty"`
	Events            []string           `json:"events,omitempty"`
	Projects          *[]string          `json:"projects,omitempty"`
	Description       *string            `json:"description,omitempty"`
	Headers           *map[string]string `json:"headers,omitempty"` // all of them; contract.HiddenHeader keeps a value
	Rate              *int               `json:"rate,omitempty"`
	RetryClientErrors *bool              `json:"retry_client_errors,omitempty"`
	Enabled           *bool              `json:"enabled,omitempty"`
}

// Webhooks are all endpoints that the key may see, the newest first, through all pages.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	type page struct {
		Webhooks   []Webhook `json:"webhooks"`
		NextCursor string    `json:"next_cursor"`
	}
	return allPages(ctx, c, "/webhooks", func(p page) ([]Webhook, string) { return p.Webhooks, p.NextCursor })
}

// Webhook reads one endpoint.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodGet, path: webhookPath(id)})
}

// CreateWebhook registers an endpoint and tells its secret, which is empty where an
// earlier try of the same request was told, whose answer was lost.
func (c *Client) CreateWebhook(ctx context.Context, webhook contract.CreateWebhook) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodPost, path: "/webhooks", body: webhook})
}

// UpdateWebhook changes an endpoint.
func (c *Client) UpdateWebhook(ctx context.Context, id string, change WebhookChange) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodPatch, path: webhookPath(id), body: change})
}

// RotateWebhook gives an endpoint another secret and tells it. For the overlap, at
// most 7 days, deliveries are signed with the one before, too. It is tried once:
// another try would make a third secret, and the first one would sign no more.
func (c *Client) RotateWebhook(ctx context.Context, id string, overlap time.Duration) (Webhook, error) {
	body := struct {
		Overlap contract.Duration `json:"overlap"`
	}{contract.Duration(overlap)}
	return c.webhook(ctx, call{method: http.MethodPost, path: webhookPath(id) + "/rotate", body: body, once: true})
}

// EnableWebhook has an endpoint get what it missed.
func (c *Client) EnableWebhook(ctx context.Context, id string) (Webhook, error) {
	return c.webhook(ctx, call{method: http.MethodPost, path: webhookPath(id) + "/enable"})
}

func (c *Client) webhook(ctx context.Context, call call) (Webhook, error) {
	var webhook Webhook
	_, err := c.do(ctx, call, &webhook)
	return webhook, err
}

// TestWebhook has a test event sent to an endpoint, and answers what came of it.
func (c *Client) TestWebhook(ctx context.Context, id string) (contract.DeliveryAttempt, error) {
	var attempt contract.DeliveryAttempt
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhookPath(id) + "/test"}, &attempt)
	return attempt, err
}

// DeleteWebhook removes an endpoint and its deliveries.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: webhookPath(id)}, nil)
	return err
}

// DeliveryFilter narrows a list of deliveries; empty fields do not.
type DeliveryFilter struct {
	Status contract.DeliveryStatus
	Type   string // of the event, as operation.completed
	Limit  int    // of one page, 0 for the gateway's default
	Cursor string
}

// DeliveryPage is one page of a list; the newest event comes first.
type DeliveryPage struct {
	Deliveries []contract.Delivery `json:"deliveries"`
	NextCursor string              `json:"next_cursor"` // "" on the last page
}

// Deliveries is one page of what was sent to an endpoint, or tried.
func (c *Client) Deliveries(ctx context.Context, id string, filter DeliveryFilter) (DeliveryPage, error) {
	query := url.Values{}
	set(query, "status", string(filter.Status))
	set(query, "type", filter.Type)
	set(query, "cursor", filter.Cursor)
	if filter.Limit > 0 {
		query.Set("limit", strconv.Itoa(filter.Limit))
	}
	var page DeliveryPage
	_, err := c.do(ctx, call{method: http.MethodGet, path: webhookPath(id) + "/deliveries", query: query}, &page)
	return page, err
}

// Redelivery says which events an endpoint is sent again: with From alone it goes
// back to that sequence, otherwise what was tried of all that matches.
type Redelivery struct {
	Status contract.DeliveryStatus `json:"status,omitempty"`
	From   uint64                  `json:"from_seq,omitempty"`
	To     uint64                  `json:"to_seq,omitempty"`
}

// Redeliver has an endpoint sent events again.
func (c *Client) Redeliver(ctx context.Context, id string, what Redelivery) (contract.Redelivering, error) {
	var redelivering contract.Redelivering
	_, err := c.do(ctx, call{method: http.MethodPost, path: webhookPath(id) + "/redeliver", body: what}, &redelivering)
	return redelivering, err
}

// RedeliverOne has an endpoint sent the event of one delivery again.
func (c *Client) RedeliverOne(ctx context.Context, id, delivery string) (contract.Redelivering, error) {
	var redelivering contract.Redelivering
	path := webhookPath(id) + "/deliveries/" + url.PathEscape(delivery) + "/redeliver"
	_, err := c.do(ctx, call{method: http.MethodPost, path: path}, &redelivering)
	return redelivering, err
}

func webhookPath(id string) string { return "/webhooks/" + url.PathEscape(id) }
