// Package provisioner makes projects and removes them: the service that carries
// out project.create and project.delete, lists projects, and keeps the vault.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/audit"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Config is all that the provisioner reads from its environment.
type Config struct {
	NATS bus.Settings
	// DatabaseURL is the PostgreSQL database with the schema provisioner.
	DatabaseURL string `env:"PROVISIONER_DATABASE_URL,notEmpty"`
	// Runtime is where projects are: local, on the executor's machine, or kube, in
	// pods. The executor has to be told the same.
	Runtime string `env:"PROVISIONER_RUNTIME" envDefault:"local"`
	// Workspaces is the directory below which local projects have their workspaces;
	// the executor sees the same directory at the same path.
	Workspaces string `env:"PROVISIONER_WORKSPACES"`
	// Pods is how the pods of projects, and of workers, are made.
	Pods Pods
	// Workers are the workers of the work queue. With Runtime local they are the
	// executor's.
	Workers Workers
	// Far is the systems in which projects have something.
	Far Far
	// MasterKey opens the vault.
	MasterKey MasterKey
	// Files is the store of what builds leave and find.
	Files blob.Settings
	// ArtifactsAge is for how long artifacts are kept, CachesAge for how long caches are
	// that nobody writes again; 0 for ever.
	ArtifactsAge time.Duration `env:"PROVISIONER_ARTIFACTS_AGE" envDefault:"2160h"`
	CachesAge    time.Duration `env:"PROVISIONER_CACHES_AGE" envDefault:"720h"`
	// HTTPAddr serves /health, /ready and /metrics to operators; not served where empty.
	HTTPAddr string `env:"PROVISIONER_HTTP_ADDR"`

	// Lease of a command; contract.DefaultLease where zero.
	Lease contract.Lease `env:"-"`
}

// slots is how many projects one process works on at a time.
const slots = 4

// grace is how long a project under way may go on when the service stops;
// another process, or the next start, takes over what is cut off.
const grace = 5 * time.Second

// projectionBatch is how many events the list of projects takes at a time.
const projectionBatch = 500

// Run assembles the provisioner and serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) (err error) {
	if cfg.Lease == (contract.Lease{}) {
		cfg.Lease = contract.DefaultLease()
	}
	pool, err := database.Open(ctx, cfg.DatabaseURL, contract.ServiceProvisioner, migrations.For)
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := bus.Connect(ctx, bus.Options{NATS: cfg.NATS, Service: contract.ServiceProvisioner, Log: log})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.AwaitStreams(ctx, log); err != nil {
		return err
	}
	workers, err := cfg.openPool(pool, conn, log)
	if err != nil {
		return err
	}
	workspaces, closeWorkspaces, err := openWorkspaces(cfg, log)
	if err != nil {
		return err
	}
	defer closeWorkspaces()
	vault, err := openVault(ctx, cfg.MasterKey, pool, conn)
	if err != nil {
		return err
	}

	files, err := blob.Open(cfg.Files)
	if err != nil {
		return err
	}
	far, err := cfg.openSystems(ctx, pool, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, far.close()) }()
	domain, err := cfg.domain()
	if err != nil {
		return err
	}

	projects := postgres.Projects{Pool: pool}
	a := &app.App{
		Operations:  conn,
		Projects:    conn,
		Open:        audit.Operations{Bus: conn},
		Steps:       far.steps(workspaces, vault, postgres.Credentials{Pool: pool}),
		Families:    app.Domains(postgres.Hosts{Pool: pool}, far.dns, far.routes),
		Pipelines:   far.pipelines,
		Domain:      domain,
		CheckHost:   checkHost(domain),
		Credentials: postgres.Credentials{Pool: pool},
		Files:       files,
		View:        projects,
		Log:         projectLog{conn},
		Lease:       cfg.Lease,
		Instance:    conn.Instance(),
	}
	health := service.NewHealth(contract.ServiceProvisioner, prometheus.NewRegistry(),
		service.Check{Name: "nats", Check: conn.Ready},
		service.Check{Name: "database", Check: pool.Ping},
	)
	return service.Run(ctx,
		health.Part(cfg.HTTPAddr),
		service.Part{Name: "projects", Run: func(ctx context.Context) error {
			return database.Alone(ctx, pool, "projection provisioner.projects", log, func(ctx context.Context) error {
				return bus.RunProjection(ctx, conn, contract.ConsumerProjects, projectionBatch, log, projects)
			})
		}},
		service.Part{Name: "workers", Run: workers},
		service.Part{Name: "renewals", Run: func(ctx context.Context) error { return bus.RunRenewals(ctx, log, a.RenewProjects) }},
		service.Part{Name: "rounds", Run: func(ctx context.Context) error {
			return database.Alone(ctx, pool, "rounds", log, cfg.rounds(a, far, log))
		}},
		service.Part{Name: "web", Run: func(ctx context.Context) error { return cfg.Far.serveWeb(ctx, far.around) }},
		service.Part{Name: "requests", Run: func(ctx context.Context) error { return answer(ctx, conn, a, vault, log) }},
		service.Part{Name: "commands", Run: func(ctx context.Context) error { return work(ctx, conn, a, log) }},
	)
}

// Migrate brings the service's schema in the database at url up to date.
func Migrate(ctx context.Context, url string) error {
	return database.Migrate(ctx, url, contract.ServiceProvisioner, migrations.For)
}

// work carries out commands.
func work(ctx context.Context, conn *bus.Conn, a *app.App, log *slog.Logger) error {
	workCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	defer stop()
	return conn.Work(ctx, workCtx, contract.ConsumerProvisioner, slots, log, func(ctx context.Context, d bus.Delivery) error {
		err := a.Handle(ctx, d.Command.Operation, d)
		if errors.Is(err, contract.ErrNotFound) {
			// A command follows its operation into the log; this one has none.
			return fmt.Errorf("%w: %w", bus.ErrPoison, err)
		}
		return err
	})
}

// projectLog implements app.Log.
type projectLog struct{ conn *bus.Conn }

func (l projectLog) LastProjectEvent(ctx context.Context) (uint64, error) {
	return l.conn.LastMatching(ctx, contract.EntityFilter(contract.EntityProject))
}
