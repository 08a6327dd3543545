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
	endpoints, err := a.Endpoints.List(ctx, request.Within, request.Cursor, limit+1)
	if err != nil {
		return contract.WebhookList{}, fmt.Errorf("list webhooks: %w", err)
	}
	list := contract.WebhookList{Webhooks: []contract.Webhook{}}
	for _, e := range endpoints[:min(limit, len(endpoints))] {
		list.Webhooks = append(list.Webhooks, show(e))
	}
	if len(endpoints) > limit {
		list.NextCursor = &endpoints[limit-1].Webhook.ID
	}
	return list, nil
}

// GetWebhook returns an endpoint, without its secret.
func (a *App) GetWebhook(ctx context.Context, request contract.GetWebhook) (contract.Webhook, error) {
	e, err := a.Endpoints.Get(ctx, request.ID)
	if err != nil {
		return contract.Webhook{}, explain(request.ID, err)
	}
	return show(e), nil
}

// ListDeliveries returns a page of the deliveries to an endpoint, the newest event
// first.
func (a *App) ListDeliveries(ctx context.Context, request contract.ListDeliveries) (contract.DeliveryList, error) {
	filter := DeliveryFilter{Endpoint: request.ID, Status: request.Status, Type: request.Type}
	if err := checkStatus(request.Status); err != nil {
		return contract.DeliveryList{}, err
	}
	if request.Cursor != "" {
		before, err := strconv.ParseUint(request.Cursor, 10, 63)
		if err != nil || before == 0 {
			return contract.DeliveryList{}, invalid("cursor", "is not one that was answered")
		}
		filter.ToSeq = before - 1
	}
	if _, err := a.Endpoints.Get(ctx, request.ID); err != nil {
		return contract.DeliveryList{}, explain(request.ID, err)
	}
	limit := pageSize(request.Limit)
	filter.Limit = limit + 1
	deliveries, err := a.Deliveries.ListOf(ctx, filter)
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

func checkStatus(status contract.DeliveryStatus) error {
	switch status {
	case "", contract.DeliveryPending, contract.DeliveryDelivered, contract.DeliveryDead:
		return nil
	}
	return invalid("status", "must be pending, delivered or dead")
}

func invalid(field, message string) error {
	return &contract.Error{
		Code: contract.CodeInvalidRequest, Detail: field + " " + message, Fields: []contract.FieldError{{Field: field, Message: message}},
	}
}
