package app

import (
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

// DeleteWebhook removes an endpoint. The row goes first: what is still due, and
// what this could not drop any more, finds no endpoint and ends there.
func (a *App) DeleteWebhook(ctx context.Context, request contract.DeleteWebhook) (contract.WebhookDeleted, error) {
	if err := a.Endpoints.Remove(ctx, request.ID); err != nil {
		return contract.WebhookDeleted{}, explain(request.ID, err)
	}
	if err := a.Queue.Drop(ctx, request.ID); err != nil {
		return contract.WebhookDeleted{}, explain(request.ID, err)
	}
	return contract.WebhookDeleted{}, nil
}
