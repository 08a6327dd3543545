// Package notifier sends events to webhook endpoints, and keeps what became of
// every delivery.
package notifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/notifier/internal/adapters/jetstream"
	"github.com/orchard9/rdev/services/notifier/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/notifier/internal/adapters/webhook"
	"github.com/orchard9/rdev/services/notifier/internal/app"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Config is all that the notifier reads from its environment.
type Config struct {
	NATS bus.Settings
	// DatabaseURL is the PostgreSQL database with the schema notifier.
	DatabaseURL string `env:"NOTIFIER_DATABASE_URL,notEmpty"`
	// HTTPAddr serves /health, /ready and /metrics to operators; not served where empty.
	HTTPAddr string `env:"NOTIFIER_HTTP_ADDR"`
	// Allow are networks that webhooks may be in although they are private, as
	// 10.1.0.0/16,127.0.0.1/32.
	Allow []netip.Prefix `env:"RDEV_WEBHOOK_ALLOW"`
	// MaxAttempts is after how many attempts a delivery is given up.
	MaxAttempts int `env:"NOTIFIER_MAX_ATTEMPTS" envDefault:"18"`
	// RetryBase is the pause before the second attempt; it doubles each time.
	RetryBase time.Duration `env:"NOTIFIER_RETRY_BASE" envDefault:"5s"`
	// RetryMax is the longest pause between two attempts.
	RetryMax time.Duration `env:"NOTIFIER_RETRY_MAX" envDefault:"1h"`
}

// maxPause is what the stream of deliveries keeps a planned one for, with room.
const maxPause = 48 * time.Hour

// check refuses a configuration that would lose deliveries.
func (c Config) check() error {
	if c.MaxAttempts < 1 || c.RetryBase <= 0 || c.RetryMax < c.RetryBase || c.RetryMax > maxPause {
		return fmt.Errorf("NOTIFIER_MAX_ATTEMPTS %d must be positive, and 0 < NOTIFIER_RETRY_BASE %s <= NOTIFIER_RETRY_MAX %s <= %s",
			c.MaxAttempts, c.RetryBase, c.RetryMax, maxPause)
	}
	return nil
}

// Run assembles the notifier and serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.check(); err != nil {
		return err
	}
	pool, err := database.Open(ctx, cfg.DatabaseURL, contract.ServiceNotifier, migrations.For)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := bus.Connect(ctx, bus.Options{NATS: cfg.NATS, Service: contract.ServiceNotifier, Log: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitStreams(ctx, log); err != nil {
		return err
	}

	targets := domain.Targets{Allow: cfg.Allow}
	sender := webhook.NewSender(targets)
	defer sender.Close()
	a := &app.App{
		Endpoints:  postgres.Endpoints{Pool: pool},
		Deliveries: postgres.Deliveries{Pool: pool},
		Queue:      jetstream.Queue{Bus: conn},
		Sender:     sender,
		Targets:    targets,
		Backoff:    domain.Backoff{Base: cfg.RetryBase, Max: cfg.RetryMax, MaxAttempts: cfg.MaxAttempts},
		NewID:      func() string { return uuid.Must(uuid.NewV7()).String() },
	}
	health := service.NewHealth(contract.ServiceNotifier, prometheus.NewRegistry(),
		service.Check{Name: "nats", Check: conn.Ready},
		service.Check{Name: "database", Check: pool.Ping},
	)
	return service.Run(ctx,
		health.Part(cfg.HTTPAddr),
		service.Part{Name: "deliveries", Run: jetstream.NewLanes(conn, a.Deliver, log).Run},
		service.Part{Name: "events", Run: func(ctx context.Context) error {
			// One process at a time, so that each endpoint's events are planned in order.
			return database.Alone(ctx, pool, "notifier.events", log, func(ctx context.Context) error {
				return conn.EachEvent(ctx, contract.ConsumerNotifier, log, func(ctx context.Context, e bus.Event) error {
					return a.Notify(ctx, jetstream.EventOf(e))
				})
			})
		}},
		service.Part{Name: "requests", Run: func(ctx context.Context) error { return answer(ctx, conn, a, log) }},
	)
}

// Migrate brings the service's schema in the database at url up to date.
func Migrate(ctx context.Context, url string) error {
	return database.Migrate(ctx, url, contract.ServiceNotifier, migrations.For)
}

// answer answers the requests of other services.
func answer(ctx context.Context, conn *bus.Conn, a *app.App, log *slog.Logger) error {
	requests, err := conn.Serve(log)
	if err != nil {
		return err
	}
	if err := errors.Join(
		bus.Answer(requests, contract.VerbCreateWebhook, a.CreateWebhook),
		bus.Answer(requests, contract.VerbListWebhooks, a.ListWebhooks),
		bus.Answer(requests, contract.VerbGetWebhook, a.GetWebhook),
		bus.Answer(requests, contract.VerbDeleteWebhook, a.DeleteWebhook),
		bus.Answer(requests, contract.VerbListDeliveries, a.ListDeliveries),
	); err != nil {
		return errors.Join(err, requests.Stop())
	}
	<-ctx.Done()
	return requests.Stop()
}
