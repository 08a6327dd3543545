package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// ListWebhooks returns a page of endpoints, the newest first.
func (a *App) ListWebhooks(ctx context.Context, request contract.ListWebhooks) (contract.WebhookList, error) {
	limit := pageSize(request.Limit)
	webhooks, err := a.Endpoints.List(ctx, request.Within, request.Cursor, limit+1)
	if err != nil {
		return contract.WebhookList{}, fmt.Errorf("list webhooks: %w", err)
	}
	list := contract.WebhookList{Webhooks: webhooks}
	if len(webhooks) > limit {
		list.Webhooks = webhooks[:limit]
		list.NextCursor = &webhooks[limit-1].ID
	}
	return list, nil
}

// GetWebhook returns an endpoint, without its secret.
func (a *App) GetWebhook(ctx context.Context, request contract.GetWebhook) (contract.Webhook, error) {
	endpoint, err := a.Endpoints.Get(ctx, request.ID)
	if err != nil {
		return contract.Webhook{}, explain(request.ID, err)
	}
	return endpoint.Webhook, nil
}

// ListDeliveries returns a page of the deliveries to an endpoint, the newest
// event first.
func (a *App) ListDeliveries(ctx context.Context, request contract.ListDeliveries) (contract.DeliveryList, error) {
	var before uint64
	if request.Cursor != "" {
		var err error
		if before, err = strconv.ParseUint(request.Cursor, 10, 63); err != nil || before == 0 {
			const message = "is not one that was answered"
			return contract.DeliveryList{}, &contract.Error{
				Code: contract.CodeInvalidRequest, Detail: "cursor " + message,
				Fields: []contract.FieldError{{Field: "cursor", Message: message}},
			}
		}
	}
	if _, err := a.Endpoints.Get(ctx, request.ID); err != nil {
		return contract.DeliveryList{}, explain(request.ID, err)
	}
	limit := pageSize(request.Limit)
	deliveries, err := a.Deliveries.ListOf(ctx, request.ID, before, limit+1)
	if err != nil {
		return contract.DeliveryList{}, explain(request.ID, err)
	}
	list := contract.DeliveryList{Deliveries: deliveries}
	if len(deliveries) > limit {
		list.Deliveries = deliveries[:limit]
		cursor := strconv.FormatUint(deliveries[limit-1].Seq, 10)
		list.NextCursor = &cursor
	}
	return list, nil
}
