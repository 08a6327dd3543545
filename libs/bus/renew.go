package bus

import (
	"context"
	"log/slog"
	"time"
)

// How often everything is looked through for what the log is about to forget, and
// after how long again where that failed.
const (
	renewEvery = 24 * time.Hour
	renewAgain = time.Minute
)

// RunRenewals has all renew everything that lives on, at once and then every day,
// until ctx is done. Any number of processes may do so.
func RunRenewals(ctx context.Context, log *slog.Logger, all func(context.Context) error) error {
	for {
		pause := renewEvery
		if err := all(ctx); err != nil && ctx.Err() == nil {
			log.Warn("what the log is about to forget is looked for again", "error", err)
			pause = renewAgain
		}
		if err := wait(ctx, pause); err != nil {
			return nil //nolint:nilerr // it was told to end
		}
	}
}
