package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// maxOverlap is the longest that two secrets sign.
const maxOverlap = 7 * 24 * time.Hour

// UpdateWebhook changes what the request has of an endpoint.
func (a *App) UpdateWebhook(ctx context.Context, request contract.UpdateWebhook) (contract.Webhook, error) {
	e, err := a.Endpoints.Update(ctx, request.ID, contract.TypeWebhookUpdated, func(e *Endpoint) error {
		w := &e.Webhook
		set(&w.Name, request.Name)
		set(&w.URL, request.URL)
		set(&w.Description, request.Description)
		set(&w.Rate, request.Rate)
		set(&w.RetryClientErrors, request.RetryClientErrors)
		if request.Events != nil {
			w.Events = distinct(request.Events)
		}
		if request.Projects != nil {
			w.Projects = distinct(*request.Projects)
		}
		if request.Headers != nil {
			w.Headers = keepHidden(w.Headers, *request.Headers)
		}
		if request.Enabled != nil {
			enable(e, *request.Enabled)
		}
		return a.check(*w)
	})
	if err != nil {
		return contract.Webhook{}, explain(request.ID, err)
	}
	return show(e), nil
}

// keepHidden is the headers that are wanted, with the values that they have where
// those are hidden.
func keepHidden(has, want map[string]string) map[string]string {
	headers := map[string]string{}
	for name, value := range want {
		if before, ok := has[name]; ok && value == contract.HiddenHeader {
			value = before
		}
		headers[name] = value
	}
	return headers
}

func set[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

// enable has an endpoint begin anew, where it was disabled: what it missed is sent
// without waiting.
func enable(e *Endpoint, enabled bool) {
	w := &e.Webhook
	if enabled && !w.Enabled {
		w.Health.Failures, w.Health.FailingSince, w.Health.NextAttemptAt, w.Health.LastError = 0, nil, nil, ""
		e.EnabledAt = time.Now().UTC()
	}
	w.Enabled, w.DisabledReason = enabled, ""
}

// EnableWebhook enables an endpoint that is disabled, by whomever.
func (a *App) EnableWebhook(ctx context.Context, request contract.GetWebhook) (contract.Webhook, error) {
	e, err := a.Endpoints.Update(ctx, request.ID, contract.TypeWebhookEnabled, func(e *Endpoint) error {
		enable(e, true)
		return nil
	})
	if err != nil {
		return contract.Webhook{}, explain(request.ID, err)
	}
	return show(e), nil
}

// errRotated leaves an endpoint as it is.
var errRotated = errors.New("the same request rotated it")

// RotateWebhook gives an endpoint a new secret and answers it, this once: the same
// request is answered without.
func (a *App) RotateWebhook(ctx context.Context, request contract.RotateWebhook) (contract.Webhook, error) {
	overlap := time.Duration(request.Overlap)
	if overlap < 0 || overlap > maxOverlap {
		message := fmt.Sprintf("must be 0s to %s", maxOverlap)
		return contract.Webhook{}, &contract.Error{
			Code: contract.CodeInvalidRequest, Detail: "overlap " + message, Fields: []contract.FieldError{{Field: "overlap", Message: message}},
		}
	}
	var known *Endpoint
	e, err := a.Endpoints.Update(ctx, request.ID, contract.TypeWebhookRotated, func(e *Endpoint) error {
		if request.Request != "" && e.RotatedBy == request.Request {
			known = e
			return errRotated
		}
		until := time.Now().UTC().Add(overlap).Truncate(time.Microsecond)
		e.OldSecret, e.Webhook.OldSecretUntil = e.Secret, &until
		if overlap == 0 {
			e.OldSecret, e.Webhook.OldSecretUntil = "", nil
		}
		e.Secret, e.RotatedBy = newSecret(), request.Request
		return nil
	})
	switch {
	case errors.Is(err, errRotated):
		return show(*known), nil
	case err != nil:
		return contract.Webhook{}, explain(request.ID, err)
	}
	answer := show(e)
	answer.Secret = e.Secret
	return answer, nil
}

// DeleteWebhook removes an endpoint. Nothing is sent to it any more.
func (a *App) DeleteWebhook(ctx context.Context, request contract.DeleteWebhook) (contract.WebhookDeleted, error) {
	_, err := a.Endpoints.Update(ctx, request.ID, contract.TypeWebhookDeleted, func(e *Endpoint) error {
		e.Deleted = true
		return nil
	})
	if err != nil {
		return contract.WebhookDeleted{}, explain(request.ID, err)
	}
	return contract.WebhookDeleted{}, nil
}
