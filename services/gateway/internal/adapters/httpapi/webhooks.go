package httpapi

import (
	"context"
	"fmt"
	"net/http"

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
	DeleteWebhook(ctx context.Context, id string) error
	Deliveries(ctx context.Context, list contract.ListDeliveries) (contract.DeliveryList, error)
}

func (h *handlers) createWebhook(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[contract.CreateWebhook](w, r)
	if err != nil {
		return err
	}
	pass := passOf(r)
	if len(request.Projects) == 0 && !pass.Everywhere() {
		return &contract.Error{Code: contract.CodeProjectNotAllowed, Detail: fmt.Sprintf("the API key %q is not for all projects: name those whose events are wanted in projects", pass.Name)}
	}
	for _, project := range request.Projects {
		if err := requireProject(pass, project); err != nil {
			return err
		}
	}
	webhook, err := h.Queries.CreateWebhook(r.Context(), request)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/webhooks/"+webhook.ID)
	api.Write(w, http.StatusCreated, webhook)
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

// webhookID is the id in the path. One that cannot be a webhook's names nothing.
func webhookID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "webhook")
	if !validate.IsID(id) {
		return "", &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no webhook %q", id)}
	}
	return id, nil
}

// webhook is one that the request's key may deal with: whose events are all of
// projects that the key may see.
func (h *handlers) webhook(r *http.Request, id string) (contract.Webhook, error) {
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
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	webhook, err := h.webhook(r, id)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, webhook)
	return nil
}

func (h *handlers) deleteWebhook(w http.ResponseWriter, r *http.Request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	if _, err := h.webhook(r, id); err != nil {
		return err
	}
	if err := h.Queries.DeleteWebhook(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	id, err := webhookID(r)
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	if _, err := h.webhook(r, id); err != nil {
		return err
	}
	page, err := h.Queries.Deliveries(r.Context(), contract.ListDeliveries{ID: id, Limit: limit, Cursor: r.URL.Query().Get("cursor")})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, page)
	return nil
}
