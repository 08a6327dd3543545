package bus

import (
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

func webhooks() entity[contract.Webhook] {
	return entity[contract.Webhook]{
		name:    contract.EntityWebhook,
		seq:     func(w *contract.Webhook) *uint64 { return &w.Seq },
		project: func(contract.Webhook) string { return "" },
		next:    contract.NextWebhook,
	}
}

// UpdateWebhook is UpdateProject for a webhook.
func (c *Conn) UpdateWebhook(ctx context.Context, id string, decide func(*contract.Webhook) (eventType string, proposed contract.Webhook, err error)) (contract.Webhook, error) {
	return webhooks().update(ctx, c, id, decide)
}
