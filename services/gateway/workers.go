package gateway

import (
	"context"
	"log/slog"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// workLimits are the limits of the work queue, by the kinds of operations.
func workLimits(limits Limits) domain.WorkLimits {
	work := domain.WorkLimits{PerProject: limits.ProjectWork, PerKind: map[string]int{}}
	for kind, most := range limits.KindWork {
		work.PerKind[contract.WorkPrefix+kind] = most
	}
	return work
}

// followWorkers tells the dispatcher of the workers that the log knows, and goes on
// where it was after an outage.
func followWorkers(ctx context.Context, conn *bus.Conn, dispatcher *app.Dispatcher, log *slog.Logger) error {
	var next uint64
	return conn.Keep(ctx, log, func(ctx context.Context) error {
		return conn.Follow(ctx, contract.EntityFilter(contract.EntityWorker), next, log, func(e bus.Event) error {
			next = e.Seq + 1
			if worker, err := e.Worker(); err == nil {
				dispatcher.SetWorker(worker)
			}
			return nil
		}, dispatcher.WorkersLive)
	})
}
