package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/adapters/jetstream"
	"github.com/orchard9/rdev/services/audit/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// leadAgain is the pause before a process that failed as the leader tries again.
const leadAgain = time.Second

// leader does what one of the processes does for all.
type leader struct {
	app     *app.App
	view    postgres.View
	conn    *bus.Conn
	illegal prometheus.Counter
	cfg     Config
	log     *slog.Logger
}

func (l leader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := l.view.Lead(ctx, l.lead); err != nil && ctx.Err() == nil {
			l.log.Warn("does not lead any more", "error", err)
			pause(ctx, leadAgain)
		}
	}
	return nil
}

// lead projects and cleans up until ctx is done.
func (l leader) lead(ctx context.Context) error {
	l.log.Info("projects the event log")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { l.cleanUp(ctx) })
	projection := &jetstream.Projection{App: l.app, Illegal: l.illegal}
	return bus.RunProjection(ctx, l.conn, contract.ConsumerAudit, l.cfg.Batch, l.log, projection)
}

func (l leader) cleanUp(ctx context.Context) {
	tick := time.NewTicker(l.cfg.CleanupInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ended, err := l.app.EndStale(ctx)
		if ended > 0 {
			l.log.Info("stale operations ended", "count", ended)
		}
		if err != nil && ctx.Err() == nil {
			l.log.Warn("stale operations are left for the next round", "error", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
