package gateway

import (
	"context"
	"io"
	"log/slog"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/access"
	"github.com/orchard9/rdev/libs/contract"
)

// Streams is all that `gateway streams` reads from its environment.
type Streams struct {
	// NATS is where the streams are. The user is migrate, where NATS has users.
	NATS bus.Settings
	// Replicas is how many copies NATS keeps of every stream: 1, or 3 on a cluster.
	Replicas int `env:"NATS_REPLICAS" envDefault:"1"`

	Lease contract.Lease `env:"-"` // contract.DefaultLease where zero
}

// MigrateStreams creates the streams and durable consumers of all services, or brings
// them up to date. Any number of processes may do so at once, also while the services
// run.
func MigrateStreams(ctx context.Context, cfg Streams, log *slog.Logger, _ io.Writer) error {
	if cfg.Lease == (contract.Lease{}) {
		cfg.Lease = contract.DefaultLease()
	}
	conn, err := bus.Connect(ctx, bus.Options{NATS: cfg.NATS, Service: access.Migrate, Log: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Ensure(ctx, cfg.Replicas, cfg.Lease); err != nil {
		return err
	}
	log.Info("the streams are up to date", "replicas", cfg.Replicas)
	return nil
}
