package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// Webhooks is answered by the notifier, which also checks what is asked of it.
type Webhooks interface {
	CreateWebhook(ctx context.Context, webhook contract.CreateWebhook) (contract.Webhook, error)
	Webhooks(ctx context.Context, list contract.ListWebhooks) (contract.WebhookList, error)
	Webhook(ctx context.Context, id string) (contract.Webhook, error)
	UpdateWebhook(ctx context.Context, update contract.UpdateWebhook) (contract.Webhook, error)
	RotateWebhook(ctx context.Context, rotate contract.RotateWebhook) (contract.Webhook, error)
	EnableWebhook(ctx context.Context, id string) (contract.Webhook, error)
	TestWebhook(ctx context.Context, id string) (contract.DeliveryAttempt, error)
	DeleteWebhook(ctx context.Context, id string) error
	Deliveries(ctx context.Context, list contract.ListDeliveries) (contract.DeliveryList, error)
	Redeliver(ctx context.Context, redeliver contract.Redeliver) (contract.Redelivering, error)
}

// createWebhookRequest is the body of POST /webhooks.
type createWebhookRequest struct {
	Name              string            `json:"name"`
	URL               string            `json:"url"`
	Events            []string          `json:"events"`
	Projects          []string          `json:"projects"`
	Description       string            `json:"description"`
	Headers           map[string]string `json:"headers"`
	Rate              int               `json:"rate"`
	RetryClientErrors bool              `json:"retry_client_errors"`
}

// updateWebhookRequest is the body of PATCH /webhooks/{webhook}: what is absent or
// null stays as it is.
type updateWebhookRequest struct {
	Name              *string            `json:"name"`
	URL               *string            `json:"url"`
	Events            []string           `json:"events"`
	Projects          *[]string          `json:"projects"`
	Description       *string            `json:"description"`
	Headers           *map[string]string `json:"headers"`
	Rate              *int               `json:"rate"`
	RetryClientErrors *bool              `json:"retry_client_errors"`
	Enabled           *bool              `json:"enabled"`
}

// rotateWebhookRequest is the body of POST /webhooks/{webhook}/rotate.
type rotateWebhookRequest struct {
	Overlap *string `json:"overlap"` // as "24h", which it is where absent; "0s" ends the last secret at once
}

// How long deliveries may be signed with the secret before, too.
const (
	defaultWebhookOverlap = 24 * time.Hour
	maxWebhookOverlap     = 7 * 24 * time.Hour
)

// createWebhook makes one endpoint of each idempotency key: its id is made of that.
func (h *handlers) createWebhook(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[createWebhookRequest](w, r)
	if err != nil {
		return err
	}
	if err := requireWebhookProjects(r, request.Projects); err != nil {
		return err
	}
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	webhook, err := h.Queries.CreateWebhook(r.Context(), contract.CreateWebhook{
		ID: asker.RequestID(), Name: request.Name, URL: request.URL, Events: request.Events, Projects: request.Projects,
		Description: request.Description, Headers: request.Headers, Rate: request.Rate, RetryClientErrors: request.RetryClientErrors,
	})
	if err != nil {
		return err
	}
	if webhook.Secret == "" { // whoever asked first was told
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/webhooks/"+webhook.ID)
	api.Write(w, http.StatusCreated, webhook)
	return nil
}

// requireWebhookProjects refuses projects that the request's key may not see, and
// for a key that is not for all projects, all of them.
func requireWebhookProjects(r *http.Request, projects []string) error {
	pass := passOf(r)
	if len(projects) == 0 && !pass.Everywhere() {
		return &contract.Error{Code: contract.CodeProjectNotAllowed, Detail: fmt.Sprintf("the API key %q is not for all projects: name those whose events are wanted in projects", pass.Name)}
	}
	for _, project := range projects {
		if err := requireProject(pass, project); err != nil {
			return err
		}
	}
	return nil
}

func (h *handlers) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := h.Queries.Webhooks(r.Context(), contract.ListWebhooks{Limit: limit, Cursor: r.URL.Query().Get("cursor"), Within: passOf(r).Projects()})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, page)
	return nil
}

// webhook is the one in the path, if the request's key may deal with it: its events
// are all of projects that the key may see. An id that cannot be a webhook's names
// nothing.
func (h *handlers) webhook(r *http.Request) (contract.Webhook, error) {
	id := chi.URLParam(r, "webhook")
	if !validate.IsID(id) {
		return contract.Webhook{}, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no webhook %q", id)}
	}
	webhook, err := h.Queries.Webhook(r.Context(), id)
	if err != nil {
		return webhook, err
	}
	pass := passOf(r)
	seen := pass.Everywhere() || len(webhook.Projects) > 0
	for _, project := range webhook.Projects {
		seen = seen && pass.Sees(project)
	}
	if !seen {
		return contract.Webhook{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no webhook " + id}
	}
	return webhook, nil
}

func (h *handlers) getWebhook(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, webhook)
	return nil
}

func (h *handlers) updateWebhook(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	request, err := api.DecodeJSON[updateWebhookRequest](w, r)
	if err != nil {
		return err
	}
	// None at all would not reach the notifier, as if it were absent.
	v := validate.New()
	v.Check("events", request.Events == nil || len(request.Events) > 0, "must have an entry")
	if err := v.Err(); err != nil {
		return err
	}
	if request.Projects != nil {
		if err := requireWebhookProjects(r, *request.Projects); err != nil {
			return err
		}
	}
	webhook, err = h.Queries.UpdateWebhook(r.Context(), contract.UpdateWebhook{
		ID: webhook.ID, Name: request.Name, URL: request.URL, Events: request.Events, Projects: request.Projects, Description: request.Description,
		Headers: request.Headers, Rate: request.Rate, RetryClientErrors: request.RetryClientErrors, Enabled: request.Enabled,
	})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, webhook)
	return nil
}

func (h *handlers) rotateWebhook(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	request, err := api.DecodeJSON[rotateWebhookRequest](w, r)
	if err != nil {
		return err
	}
	overlap := defaultWebhookOverlap
	if request.Overlap != nil {
		v := validate.New()
		overlap, err = time.ParseDuration(*request.Overlap)
		v.Check("overlap", err == nil, `must be a duration as "24h"`)
		v.Duration("overlap", overlap, 0, maxWebhookOverlap)
		if err := v.Err(); err != nil {
			return err
		}
	}
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	webhook, err = h.Queries.RotateWebhook(r.Context(), contract.RotateWebhook{
		ID: webhook.ID, Overlap: contract.Duration(overlap), Request: asker.RequestID(),
	})
	if err != nil {
		return err
	}
	if webhook.Secret == "" {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	api.Write(w, http.StatusOK, webhook)
	return nil
}

func (h *handlers) enableWebhook(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	if webhook, err = h.Queries.EnableWebhook(r.Context(), webhook.ID); err != nil {
		return err
	}
	api.Write(w, http.StatusOK, webhook)
	return nil
}

func (h *handlers) deleteWebhook(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	if err := h.Queries.DeleteWebhook(r.Context(), webhook.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
