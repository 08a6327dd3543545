package provisioner

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/gateway"
	pods "github.com/orchard9/rdev/services/provisioner/internal/adapters/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Workers are the workers of the work queue on Kubernetes: pods like those of projects.
type Workers struct {
	// Min and Max are how many there are at the least and at the most; none where Max is 0.
	Min int `env:"PROVISIONER_WORKERS_MIN" envDefault:"0"`
	Max int `env:"PROVISIONER_WORKERS_MAX" envDefault:"0"`
	// Idle is how long a worker is kept that has nothing to do, beyond the least.
	Idle time.Duration `env:"PROVISIONER_WORKERS_IDLE" envDefault:"5m"`
	// Age is how long work waits while no worker is free before there is another.
	Age time.Duration `env:"PROVISIONER_WORKERS_AGE" envDefault:"5s"`
	// Storage is the size of a worker's workspace, on the disk of its node.
	Storage string `env:"PROVISIONER_WORKERS_STORAGE" envDefault:"4Gi"`
	// Tasks is how many pieces of work a worker carries out before it is replaced; 0 for
	// any number.
	Tasks int `env:"PROVISIONER_WORKER_TASKS" envDefault:"0"`
}

// openPool is what keeps the pool of workers until ctx is done, where there can be one.
func (cfg Config) openPool(db *pgxpool.Pool, conn *bus.Conn, log *slog.Logger) (keep func(ctx context.Context) error, err error) {
	w := cfg.Workers
	if w.Min < 0 || w.Min > w.Max {
		return nil, fmt.Errorf("PROVISIONER_WORKERS_MIN: %d is not between 0 and PROVISIONER_WORKERS_MAX, which is %d", w.Min, w.Max)
	}
	if cfg.Runtime != contract.RuntimeKube {
		return func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}, nil
	}
	like, err := cfg.Pods.config(log)
	if err != nil {
		return nil, err
	}
	made, err := pods.NewWorkerPods(like, w.Storage)
	if err != nil {
		return nil, err
	}
	pool := &app.Pool{
		Pods: made, Workers: conn, Queue: gateway.WorkQueue{Bus: conn}, Workspace: kube.Workspace, Log: log,
		Settings: app.PoolSettings{Min: w.Min, Max: w.Max, Idle: w.Idle, Age: w.Age, Tasks: w.Tasks, Patience: cfg.Pods.Patience},
	}
	return func(ctx context.Context) error { return database.Alone(ctx, db, "pool of workers", log, pool.Run) }, nil
}
