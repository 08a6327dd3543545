// Package gateway is the service that clients talk to: it accepts requests as
// operations, offers them to the services that carry them out, and streams what
// comes of them. It keeps nothing itself.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/httpapi"
	natsadapter "github.com/orchard9/rdev/services/gateway/internal/adapters/nats"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Config is all that the gateway reads from its environment.
type Config struct {
	NATS     bus.Settings
	Addr     string `env:"RDEV_ADDR" envDefault:"127.0.0.1:8080"` // where the API listens
	HTTPAddr string `env:"GATEWAY_HTTP_ADDR"`                     // health and metrics; nothing where empty
	// DatabaseURL is the PostgreSQL database with the schema gateway.
	DatabaseURL string `env:"GATEWAY_DATABASE_URL,notEmpty"`
	// KeyPepper is the file with the secret, of at least 32 bytes, under which those of
	// API keys are hashed. All gateways have the same; without it no key works any more.
	KeyPepper string `env:"GATEWAY_KEY_PEPPER_FILE,notEmpty"`
	// TLSCert and TLSKey are the files of a certificate and its key, in PEM: the API
	// is served over TLS with them, and in plain text without. They are read again
	// when they change.
	TLSCert string `env:"GATEWAY_TLS_CERT_FILE"`
	TLSKey  string `env:"GATEWAY_TLS_KEY_FILE"`
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is believed,
	// as "10.0.0.0/8".
	TrustedProxies []string `env:"GATEWAY_TRUSTED_PROXIES"`
	Limits         Limits
	// Files is the store of what builds leave and find.
	Files blob.Settings

	Listener net.Listener `env:"-"` // instead of Addr
	// Around is put around the handler of the API, where something else is served beside
	// it; nil for nothing.
	Around    func(api http.Handler) http.Handler `env:"-"`
	Heartbeat time.Duration                       `env:"-"` // of quiet streams, 15 s where zero. For tests
}

// Limits are what may be asked of the gateways; 0 switches one off. The rates are
// those of all gateways together. A tenth of a minute's may come at once, or ten
// where that is more. They are off in `rdev up`.
type Limits struct {
	KeyRate     int `env:"GATEWAY_KEY_RATE" envDefault:"6000"`     // requests of each API key in a minute
	ProjectRate int `env:"GATEWAY_PROJECT_RATE" envDefault:"600"`  // operations that are started in each project in a minute
	Rate        int `env:"GATEWAY_RATE" envDefault:"60000"`        // requests of all keys in a minute
	Streams     int `env:"GATEWAY_STREAMS" envDefault:"100"`       // streams that each API key has open on one gateway
	AllStreams  int `env:"GATEWAY_ALL_STREAMS" envDefault:"20000"` // streams that are open on one gateway
	// QueueDepth is how many operations may wait for their turn, ProjectQueueDepth
	// how many of each project.
	QueueDepth        int `env:"GATEWAY_QUEUE_DEPTH" envDefault:"100000"`
	ProjectQueueDepth int `env:"GATEWAY_PROJECT_QUEUE_DEPTH" envDefault:"10000"`
	// ProjectWork is how many pieces of work run of each project at a time, KindWork how
	// many of a kind of all projects, as "deploy:1,build:4"; 0 is as many as there are
	// workers. All gateways are to be told the same.
	ProjectWork int            `env:"GATEWAY_PROJECT_WORK" envDefault:"0"`
	KindWork    map[string]int `env:"GATEWAY_KIND_WORK"`
}

// Run assembles the gateway and serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	proxies, err := httpapi.NewProxies(cfg.TrustedProxies)
	if err != nil {
		return err
	}
	pepper, err := readPepper(cfg.KeyPepper)
	if err != nil {
		return err
	}
	conn, err := connect(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	listener := cfg.Listener
	if listener == nil {
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
	}

	if cfg.TLSCert != "" || cfg.TLSKey != "" {
		secure, err := service.TLS(cfg.TLSCert, cfg.TLSKey, log)
		if err != nil {
			return errors.Join(fmt.Errorf("GATEWAY_TLS_CERT_FILE, GATEWAY_TLS_KEY_FILE: %w", err), listener.Close())
		}
		listener = tls.NewListener(listener, secure)
	}
	requests, err := conn.Serve(log)
	if err != nil {
		return err
	}
	nats := natsadapter.Gateway{Conn: conn}
	metrics := prometheus.NewRegistry()
	ring := app.NewKeyring(pepper)
	health := service.NewHealth("gateway", metrics, service.Check{Name: "nats", Check: conn.Ready}, service.Check{Name: "keys", Check: ring.Ready})
	dispatcher := app.NewDispatcher(nats, workLimits(cfg.Limits), log)
	budgets := &app.Budgets{Key: ring.Budget}
	keeper := app.NewKeeper(nats, nats, budgets, log)
	work, turns := app.WorkQueue{Dispatcher: dispatcher, Stats: app.NewWorkStats()}, app.NewWorkTurns()
	accepting := &app.App{
		Operations: nats, Projects: nats, Workers: conn, Turns: turns, Queue: dispatcher, Budgets: budgets,
		Room: app.Room{Project: cfg.Limits.ProjectQueueDepth, All: cfg.Limits.QueueDepth},
	}
	builder := app.NewBuilder(accepting, met, log)
	operations := app.NewFold(budgets, dispatcher, keeper, builder, work.Stats, turns)
	if err := bus.Answer(requests, contract.VerbWorkLoad, work.Load); err != nil {
		return err
	}
	limiter := app.NewLimiter(nats, conn.Instance(), app.Rates{Key: cfg.Limits.KeyRate, Project: cfg.Limits.ProjectRate, All: cfg.Limits.Rate}, log)
	streams := app.NewStreams(cfg.Limits.Streams, cfg.Limits.AllStreams)
	measure(metrics, dispatcher, limiter, streams)
	files, err := blob.Open(cfg.Files)
	if err != nil {
		return err
	}
	stopping, stopStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer stopStreams()
	table := &keyTable{url: cfg.DatabaseURL, ring: ring, conn: conn, log: log}
	var handler http.Handler
	handler, err = httpapi.New(httpapi.Config{
		App: accepting, Log: conn, Queries: nats, Unavailable: natsadapter.Unavailable, Limits: limiter, Streams: streams, Approvals: keeper, Work: work, Files: files,
		Keys: &app.Keys{Log: conn, Ring: ring, Uses: table, Pepper: pepper}, Ring: ring, LastKey: lastKey(conn), Proxies: proxies, Health: health, Version: service.Version(), Logger: log,
		Heartbeat: cfg.Heartbeat, Stopping: stopping,
	})
	if err != nil {
		return err
	}

	if cfg.Around != nil {
		handler = cfg.Around(handler)
	}
	log.Info("serving", "address", listener.Addr().String(), "instance", conn.Instance())
	return service.Run(ctx,
		health.Part(cfg.HTTPAddr),
		service.Part{Name: "dispatcher", Run: dispatcher.Run},
		service.Part{Name: "keeper", Run: keeper.Run},
		service.Part{Name: "builder", Run: builder.Run},
		service.Part{Name: "limiter", Run: limiter.Run},
		service.Part{Name: "fold", Run: func(ctx context.Context) error { return fold(ctx, conn, operations, log) }},
		service.Part{Name: "worker log", Run: func(ctx context.Context) error { return followWorkers(ctx, conn, dispatcher, log) }},
		service.Part{Name: "key log", Run: func(ctx context.Context) error { return followKeys(ctx, conn, ring, log) }},
		service.Part{Name: "key table", Run: table.run},
		service.Part{Name: "key renewals", Run: func(ctx context.Context) error {
			return bus.RunRenewals(ctx, log, func(ctx context.Context) error { return renewKeys(ctx, conn, ring) })
		}},
		service.Part{Name: "api", Run: func(ctx context.Context) error { return service.Serve(ctx, listener, handler, stopStreams) }},
	)
}

// measure registers what the gateway counts.
func measure(metrics prometheus.Registerer, dispatcher *app.Dispatcher, limiter *app.Limiter, streams *app.Streams) {
	metrics.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rdev_operations_waiting", Help: "Operations that have not begun.",
		}, func() float64 { return float64(dispatcher.Waiting()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "rdev_streams_open", Help: "Streams that are open on this gateway.",
		}, func() float64 { return float64(streams.Opened()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "rdev_rate_limited_total", Help: "Requests that a rate limit refused.",
		}, func() float64 { return float64(limiter.Refused()) }),
	)
}

// connect connects to NATS and waits for the streams.
func connect(ctx context.Context, cfg Config, log *slog.Logger) (*bus.Conn, error) {
	conn, err := bus.Connect(ctx, bus.Options{NATS: cfg.NATS, Service: contract.ServiceGateway, Log: log})
	if err != nil {
		return nil, err
	}
	if err := conn.AwaitStreams(ctx, log); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Migrate brings the service's schema in the database at url up to date.
func Migrate(ctx context.Context, url string) error {
	return database.Migrate(ctx, url, contract.ServiceGateway, migrations.For)
}

// fold feeds a fold the log, and goes on where it was after an outage.
func fold(ctx context.Context, conn *bus.Conn, operations *app.Fold, log *slog.Logger) error {
	var next uint64
	handle := func(e bus.Event) error { //nolint:unparam // the type that Follow wants
		next = e.Seq + 1
		if op, err := e.Operation(); err == nil {
			operations.Apply(e.Type, e.Time, op)
		}
		return nil
	}
	return conn.Keep(ctx, log, func(ctx context.Context) error {
		return conn.Follow(ctx, contract.EntityFilter(contract.EntityOperation), next, log, handle, operations.Live)
	})
}
