package provisioner

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// How often what is done in rounds is done.
const (
	sweepEvery     = time.Hour
	pipelinesEvery = 15 * time.Second
)

// rounds does what is done again and again, as far as the installation has it, until ctx is
// done: each beside the others.
func (cfg Config) rounds(a *app.App, far systems, log *slog.Logger) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		var all sync.WaitGroup
		all.Go(func() { again(ctx, sweepEvery, func() { cfg.sweepFiles(ctx, a, log) }) })
		if far.caches != nil {
			all.Go(func() { again(ctx, app.KeepCachesEvery, func() { keepCaches(ctx, a, log) }) })
		}
		if far.pipelines != nil {
			all.Go(func() { again(ctx, pipelinesEvery, func() { warn(ctx, log, "pipelines", a.WatchPipelines(ctx)) }) })
		}
		all.Wait()
		return nil
	}
}

// again does something now, and then once every interval, until ctx is done.
func again(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// warn logs what went wrong in a round that another one follows.
func warn(ctx context.Context, log *slog.Logger, of string, err error) {
	if err != nil && ctx.Err() == nil {
		log.Warn("what failed is done in the next round", "of", of, "error", err)
	}
}

// sweepFiles deletes the files that are too old.
func (cfg Config) sweepFiles(ctx context.Context, a *app.App, log *slog.Logger) {
	removed, err := a.SweepFiles(ctx, app.FilesAge{Artifacts: cfg.ArtifactsAge, Caches: cfg.CachesAge})
	warn(ctx, log, "old files", err)
	if removed > 0 {
		log.Info("old files deleted", "removed", removed)
	}
}

// keepCaches makes the users of caches again that the server has forgotten.
func keepCaches(ctx context.Context, a *app.App, log *slog.Logger) {
	restored, err := a.KeepCaches(ctx)
	warn(ctx, log, "caches", err)
	if restored > 0 {
		log.Warn("the server of caches had forgotten users, which are there again", "restored", restored)
	}
}
