package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// WorkerLog is the log of workers.
type WorkerLog interface {
	Workers
	// UpdateWorker loads a worker, or nil where there is none, appends the event that
	// decide makes of it and returns the worker after it; an empty event type leaves it
	// as it is.
	UpdateWorker(ctx context.Context, id string, decide func(*contract.Worker) (eventType string, proposed contract.Worker, err error)) (contract.Worker, error)
}

// LocalWorker is the id of a worker of this machine, from 1.
func LocalWorker(n int) string { return "local-" + strconv.Itoa(n) }

// AnnounceWorkers has the log know so many workers of this machine, whose files are
// below dir. Those that there were beyond them are gone. One that drains goes on with it.
func AnnounceWorkers(ctx context.Context, log WorkerLog, count int, dir string) error {
	for n := 1; n <= count; n++ {
		want := contract.Worker{ID: LocalWorker(n), Runtime: contract.RuntimeLocal, Workspace: filepath.Join(dir, LocalWorker(n), "workspace")}
		_, err := log.UpdateWorker(ctx, want.ID, func(now *contract.Worker) (string, contract.Worker, error) {
			want.CreatedAt = time.Now().UTC()
			if now == nil || now.State == contract.WorkerGone {
				return contract.TypeWorkerReady, want, nil
			}
			if now.Workspace == want.Workspace && now.Runtime == want.Runtime {
				return "", want, nil
			}
			want.CreatedAt = now.CreatedAt
			return string(now.State), want, nil
		})
		if err != nil {
			return fmt.Errorf("announce worker %s: %w", want.ID, err)
		}
	}
	for n := count + 1; ; n++ {
		_, err := log.Worker(ctx, LocalWorker(n))
		if errors.Is(err, contract.ErrNotFound) {
			return nil
		}
		if err == nil {
			_, err = log.UpdateWorker(ctx, LocalWorker(n), func(now *contract.Worker) (string, contract.Worker, error) {
				if now == nil || now.State == contract.WorkerGone {
					return "", contract.Worker{}, nil
				}
				return contract.TypeWorkerGone, *now, nil
			})
		}
		if err != nil {
			return fmt.Errorf("withdraw worker %s: %w", LocalWorker(n), err)
		}
	}
}
