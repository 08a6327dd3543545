package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

const secretBytes = 32

// CreateWebhook registers an endpoint and answers its secret, this once: the same
// request with the same id is answered without.
func (a *App) CreateWebhook(ctx context.Context, request contract.CreateWebhook) (contract.Webhook, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	w := contract.Webhook{
		ID: request.ID, Name: request.Name, URL: request.URL, Events: distinct(request.Events), Projects: distinct(request.Projects),
		Description: request.Description, Headers: request.Headers, Rate: request.Rate, RetryClientErrors: request.RetryClientErrors,
		Enabled: true, CreatedAt: now, UpdatedAt: now, Rev: 1,
	}
	if w.ID == "" {
		w.ID = a.NewID()
	}
	if err := a.check(w); err != nil {
		return contract.Webhook{}, err
	}
	if err := a.requireRoom(ctx); err != nil {
		return contract.Webhook{}, err
	}
	last, err := a.Log.Last(ctx)
	if err != nil {
		return contract.Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	w.Health.Seq = last
	endpoint := Endpoint{Webhook: w, Secret: newSecret(), EnabledAt: now, Change: contract.TypeWebhookCreated}
	err = a.Endpoints.Add(ctx, endpoint)
	if errors.Is(err, ErrTaken) && request.ID != "" {
		return a.created(ctx, w, err)
	}
	if err != nil {
		return contract.Webhook{}, explain(w.ID, err)
	}
	answer := show(endpoint)
	answer.Secret = endpoint.Secret
	return answer, nil
}

// created is the endpoint that the same request made before.
func (a *App) created(ctx context.Context, want contract.Webhook, taken error) (contract.Webhook, error) {
	before, err := a.Endpoints.Get(ctx, want.ID)
	if err != nil {
		return contract.Webhook{}, explain(want.ID, taken) // it is the name that is taken
	}
	is := before.Webhook
	if is.Name != want.Name || is.URL != want.URL || !slices.Equal(is.Events, want.Events) || !slices.Equal(is.Projects, want.Projects) ||
		is.Description != want.Description || !maps.Equal(is.Headers, want.Headers) || is.Rate != want.Rate || is.RetryClientErrors != want.RetryClientErrors {
		return contract.Webhook{}, &contract.Error{
			Code: contract.CodeIdempotencyMismatch, Detail: "the Idempotency-Key was used for another request, which made webhook " + want.ID + ", or that was changed since",
		}
	}
	return show(before), nil
}

func (a *App) requireRoom(ctx context.Context) error {
	if a.MaxEndpoints == 0 {
		return nil
	}
	count, err := a.Endpoints.Count(ctx)
	if err == nil && count >= a.MaxEndpoints {
		return &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("there are %d webhooks, which is all that may be; delete some first", count)}
	}
	return err
}

// newSecret is what deliveries are signed with.
func newSecret() string {
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}
