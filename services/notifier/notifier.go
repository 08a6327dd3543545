// Package notifier sends events to webhook endpoints, and keeps what became of
// every delivery.
package notifier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
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
	// Proxy is what requests to webhooks go through, as http://proxy:3128; none where
	// empty.
	Proxy string `env:"NOTIFIER_EGRESS_PROXY"`
	// MaxWebhooks is how many there may be, 0 for no limit.
	MaxWebhooks int `env:"NOTIFIER_MAX_WEBHOOKS" envDefault:"10000"`
	// RetryBase is the pause after an attempt that failed; it doubles each time, up to
	// RetryMax.
	RetryBase time.Duration `env:"NOTIFIER_RETRY_BASE" envDefault:"5s"`
	RetryMax  time.Duration `env:"NOTIFIER_RETRY_MAX" envDefault:"1h"`
	// GiveUp is after how long an event is given up that a webhook does not take, and
	// DisableAfter after how long of nothing but failures the webhook is disabled.
	GiveUp       time.Duration `env:"NOTIFIER_GIVE_UP" envDefault:"72h"`
	DisableAfter time.Duration `env:"NOTIFIER_DISABLE_AFTER" envDefault:"120h"`
	// Keep is how long deliveries are remembered.
	Keep time.Duration `env:"NOTIFIER_KEEP_DELIVERIES" envDefault:"720h"`
}

const (
	// announceEvery is how often the log is told what became of webhooks.
	announceEvery = 500 * time.Millisecond
	pruneEvery    = time.Hour
)

// check refuses a configuration that makes no sense.
func (c Config) check() error {
	if c.RetryBase <= 0 || c.RetryMax < c.RetryBase || c.GiveUp <= 0 || c.DisableAfter <= 0 || c.Keep <= 0 {
		return fmt.Errorf("0 < NOTIFIER_RETRY_BASE %s <= NOTIFIER_RETRY_MAX %s must hold, and NOTIFIER_GIVE_UP %s, NOTIFIER_DISABLE_AFTER %s, NOTIFIER_KEEP_DELIVERIES %s be positive",
			c.RetryBase, c.RetryMax, c.GiveUp, c.DisableAfter, c.Keep)
	}
	return nil
}

// Run assembles the notifier and serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	if err := cfg.check(); err != nil {
		return err
	}
	targets := domain.Targets{Allow: cfg.Allow}
	sender, err := newSender(targets, cfg.Proxy)
	if err != nil {
		return err
	}
	defer sender.Close()
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

	endpoints, deliveries, events := postgres.Endpoints{Pool: pool}, postgres.Deliveries{Pool: pool}, jetstream.Log{Bus: conn}
	a := &app.App{
		Endpoints: endpoints, Deliveries: deliveries, Log: events, Sender: poster{sender}, Targets: targets, MaxEndpoints: cfg.MaxWebhooks,
		NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
	}
	courier := &app.Courier{
		Endpoints: endpoints, Deliveries: deliveries, Log: events, Sender: poster{sender}, Logger: log,
		Policy: domain.Policy{
			Backoff: domain.Backoff{Base: cfg.RetryBase, Max: cfg.RetryMax}, GiveUp: cfg.GiveUp, DisableAfter: cfg.DisableAfter,
		},
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rdev_webhook_lag_events", Help: "Events of the log that the webhook furthest behind has not looked at; 0 where another process delivers.",
	}, func() float64 { return float64(courier.Lag()) }))
	health := service.NewHealth(contract.ServiceNotifier, metrics,
		service.Check{Name: "nats", Check: conn.Ready},
		service.Check{Name: "database", Check: pool.Ping},
	)
	return service.Run(ctx,
		health.Part(cfg.HTTPAddr),
		// One process at a time, so that each webhook gets its events in order.
		alone(pool, "notifier.deliveries", log, courier.Run),
		alone(pool, "notifier.announcements", log, func(ctx context.Context) error { return every(ctx, announceEvery, a.Announce) }),
		alone(pool, "notifier.retention", log, func(ctx context.Context) error {
			return every(ctx, pruneEvery, func(ctx context.Context) error {
				_, err := deliveries.Prune(ctx, time.Now().Add(-cfg.Keep))
				return err
			})
		}),
		service.Part{Name: "requests", Run: func(ctx context.Context) error { return answer(ctx, conn, a, log) }},
	)
}

// alone is a part that runs in one process at a time.
func alone(pool *pgxpool.Pool, name string, log *slog.Logger, run func(context.Context) error) service.Part {
	return service.Part{Name: name, Run: func(ctx context.Context) error { return database.Alone(ctx, pool, name, log, run) }}
}

// every does something at once, and again and again until ctx is done or it fails.
func every(ctx context.Context, interval time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func newSender(targets domain.Targets, proxy string) (*webhook.Sender, error) {
	if proxy == "" {
		return webhook.NewSender(targets), nil
	}
	through, err := url.Parse(proxy)
	if err == nil {
		err = webhook.CheckProxy(through)
	}
	if err != nil {
		return nil, fmt.Errorf("NOTIFIER_EGRESS_PROXY: %w", err)
	}
	return webhook.NewSender(targets, webhook.Proxy(through)), nil
}

// poster implements app.Sender.
type poster struct{ *webhook.Sender }

func (p poster) Send(ctx context.Context, r app.Request) app.Outcome {
	prev := ""
	if r.Event.Seq > 0 {
		prev = strconv.FormatUint(r.PrevSeq, 10)
	}
	return app.Outcome(p.Post(ctx, webhook.Request{
		URL: r.URL, Secrets: r.Secrets, Headers: r.Headers, ID: r.Event.ID, Event: r.Event.Header, PrevSeq: prev, Body: r.Event.Data,
	}))
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
		bus.Answer(requests, contract.VerbUpdateWebhook, a.UpdateWebhook),
		bus.Answer(requests, contract.VerbRotateWebhook, a.RotateWebhook),
		bus.Answer(requests, contract.VerbEnableWebhook, a.EnableWebhook),
		bus.Answer(requests, contract.VerbTestWebhook, a.TestWebhook),
		bus.Answer(requests, contract.VerbDeleteWebhook, a.DeleteWebhook),
		bus.Answer(requests, contract.VerbListDeliveries, a.ListDeliveries),
		bus.Answer(requests, contract.VerbRedeliver, a.Redeliver),
	); err != nil {
		return errors.Join(err, requests.Stop())
	}
	<-ctx.Done()
	return requests.Stop()
}
