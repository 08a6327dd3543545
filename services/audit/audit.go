// Package audit is the service that keeps what happened: it folds the event log
// into tables, answers questions from them, and ends operations that nobody
// carries out any more. It decides nothing: the log is the truth.
package audit

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/audit/internal/adapters/jetstream"
	"github.com/orchard9/rdev/services/audit/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// Config is all that the audit service wants to know. What is zero is set as its
// default says.
type Config struct {
	NATS bus.Settings
	// DatabaseURL is the PostgreSQL database; the service's schema in it is audit.
	// Sessions must last: a pooler in transaction mode does not fit.
	DatabaseURL string `env:"AUDIT_DATABASE_URL,notEmpty"`
	// HTTPAddr is where /health, /ready and /metrics are served, as :9090; empty
	// for nowhere.
	HTTPAddr string `env:"AUDIT_HTTP_ADDR"`
	// Batch is the most events that one transaction takes.
	Batch int `env:"AUDIT_BATCH" envDefault:"5000"`
	// CleanupInterval is how often stale operations are looked for.
	CleanupInterval time.Duration `env:"AUDIT_CLEANUP_INTERVAL" envDefault:"30s"`
	// ExpireAfter is how long an operation may stay pending before it fails.
	ExpireAfter time.Duration `env:"AUDIT_EXPIRE_AFTER" envDefault:"24h"`

	// Lease is the executors'; contract.DefaultLease where zero.
	Lease contract.Lease `env:"-"`
}

func (c Config) withDefaults() Config {
	if c.Batch <= 0 {
		c.Batch = 5000
	}
	if c.CleanupInterval <= 0 {
		c.CleanupInterval = 30 * time.Second
	}
	if c.ExpireAfter <= 0 {
		c.ExpireAfter = 24 * time.Hour
	}
	if c.Lease == (contract.Lease{}) {
		c.Lease = contract.DefaultLease()
	}
	return c
}

// Run assembles the service and serves until ctx is done. Any number of
// processes may run at once: all answer, and one of them projects.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	cfg = cfg.withDefaults()
	pool, err := database.Open(ctx, cfg.DatabaseURL, contract.ServiceAudit, migrations.For)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := bus.Connect(ctx, bus.Options{NATS: cfg.NATS, Service: contract.ServiceAudit, Log: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitStreams(ctx, log); err != nil {
		return err
	}

	view := postgres.View{Pool: pool}
	audit := &app.App{
		View: view, Operations: conn, Lanes: conn, Log: jetstream.Log{Conn: conn},
		ExpireAfter: cfg.ExpireAfter, LostAfter: 2 * cfg.Lease.AckWait,
	}
	registry := prometheus.NewRegistry()
	illegal := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rdev_audit_illegal_events_total",
		Help: "Events that could not follow the one before and were ignored.",
	})
	registry.MustRegister(illegal, progress{audit, log})
	health := service.NewHealth(contract.ServiceAudit, registry,
		service.Check{Name: "nats", Check: conn.Ready},
		service.Check{Name: "postgres", Check: pool.Ping},
	)
	leader := leader{app: audit, view: view, conn: conn, illegal: illegal, cfg: cfg, log: log}
	return service.Run(ctx,
		health.Part(cfg.HTTPAddr),
		service.Part{Name: "leader", Run: leader.run},
		service.Part{Name: "requests", Run: func(ctx context.Context) error { return answer(ctx, conn, audit, log) }},
	)
}

// Migrate brings the service's schema in the database at url up to date.
func Migrate(ctx context.Context, url string) error {
	return database.Migrate(ctx, url, contract.ServiceAudit, migrations.For)
}

// answer answers requests until ctx is done.
func answer(ctx context.Context, conn *bus.Conn, audit *app.App, log *slog.Logger) error {
	requests, err := conn.Serve(log)
	if err != nil {
		return err
	}
	err = errors.Join(
		bus.Answer(requests, contract.VerbListOperations, audit.ListOperations),
		bus.Answer(requests, contract.VerbGetOperation, audit.GetOperation),
		bus.Answer(requests, contract.VerbOperationHistory, audit.GetOperationHistory),
		bus.Answer(requests, contract.VerbProjectionPosition, audit.GetProjectionPosition),
		bus.Answer(requests, contract.VerbRebuildProjection, audit.RebuildProjection),
	)
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, requests.Stop())
}
