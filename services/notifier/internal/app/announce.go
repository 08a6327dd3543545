package app

import (
	"context"
	"fmt"
)

// announceBatch is how many changes the log is told at a time.
const announceBatch = 100

// Announce tells the log what became of endpoints since it was told last. The table is
// the truth, and the log follows it: what was told twice is told once.
func (a *App) Announce(ctx context.Context) error {
	for {
		changed, err := a.Endpoints.Unannounced(ctx, announceBatch)
		if err != nil {
			return fmt.Errorf("find what the log does not know: %w", err)
		}
		for _, e := range changed {
			if err := a.Log.Announce(ctx, e.Change, show(e)); err != nil {
				return fmt.Errorf("announce webhook %s: %w", e.Webhook.ID, err)
			}
			if err := a.Endpoints.Announced(ctx, e.Webhook.ID, e.Webhook.Rev); err != nil {
				return fmt.Errorf("announce webhook %s: %w", e.Webhook.ID, err)
			}
		}
		if len(changed) < announceBatch {
			return nil
		}
	}
}
