package app

import (
	"context"
	"fmt"
)

// Notify has an event delivered to every endpoint that wants it.
//
// An event that comes again is planned already, and its deliveries that were
// made are not made again.
func (a *App) Notify(ctx context.Context, event Event) error {
	endpoints, err := a.Endpoints.All(ctx)
	if err != nil {
		return fmt.Errorf("notify of %d: %w", event.Seq, err)
	}
	for _, endpoint := range endpoints {
		if !endpoint.Filter().Matches(event.Type, event.Project, event.Seq) {
			continue
		}
		if err := a.Deliveries.Plan(ctx, endpoint.Webhook.ID, event); err != nil {
			return fmt.Errorf("notify %s of %d: %w", endpoint.Webhook.ID, event.Seq, err)
		}
		if err := a.Queue.Due(ctx, endpoint.Webhook.ID, event); err != nil {
			return fmt.Errorf("notify %s of %d: %w", endpoint.Webhook.ID, event.Seq, err)
		}
	}
	return nil
}
