// Package up is rdev on one machine: the five services, a NATS server and a
// PostgreSQL in one process tree, as `rdev up` starts it.
package up

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/libs/redis/local"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/executor"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

// Config is what `rdev up` reads from its environment. What it does not name
// the services read themselves, as EXECUTOR_TIMEOUT.
type Config struct {
	Home     string `env:"RDEV_HOME"`                                  // where all state is kept; ~/.rdev where empty
	Addr     string `env:"RDEV_ADDR" envDefault:"127.0.0.1:8080"`      // where the API listens; port 0 picks a free one
	NATSAddr string `env:"RDEV_NATS_ADDR" envDefault:"127.0.0.1:4222"` // where NATS clients may attach; port 0 picks a free one
	Database string `env:"RDEV_DATABASE_URL"`                          // a PostgreSQL to use; one of our own where empty
	Registry string `env:"npm_config_registry"`                        // where PostgreSQL is downloaded from, on a machine without
	Path     string `env:"PATH"`                                       // of commands, unless EXECUTOR_PATH says otherwise

	// Far is the systems in which projects have something. Where it names none, their
	// databases are on the server of Database, their caches on the Redis that the machine
	// has, their repositories in a directory of Home, and their hosts below localhost.
	Far provisioner.Far

	WebhookAllow string `env:"RDEV_WEBHOOK_ALLOW"` // private networks that webhooks may reach, CIDR list

	// Files is where builds keep files; the directory files in Home where it names none.
	Files blob.Settings

	// Runtime is where projects are: local for directories of this machine, kube for
	// pods of a cluster that this machine reaches, as Pods says.
	Runtime  string `env:"RDEV_RUNTIME" envDefault:"local"`
	Pods     provisioner.Pods
	Executor executor.Config

	Redis  local.Program  `env:"-"` // the server of caches; the one that the machine has where empty
	Runner string         `env:"-"` // path of rdev-runner
	Lease  contract.Lease `env:"-"` // contract.DefaultLease where zero
	// Unsynced acknowledges before the disk has it. For tests.
	Unsynced bool `env:"-"`
}

// Ready is what $RDEV_HOME/ready.json tells once everything is up.
type Ready struct {
	URL        string `json:"url"`
	NATSURL    string `json:"nats_url"`
	APIKeyFile string `json:"api_key_file"`
	PID        int    `json:"pid"`
	// NewKey is the API key where it was made just now.
	NewKey string `json:"-"`
}

// ErrRunning is returned where another rdev is up on the same home.
var ErrRunning = errors.New("rdev is up already")

// stopDatabase bounds the stop of PostgreSQL.
const stopDatabase = 20 * time.Second

// For how long what builds leave and find is kept.
const (
	artifactsAge = 90 * 24 * time.Hour
	cachesAge    = 30 * 24 * time.Hour
)

// Run starts everything, calls ready once it answers, and runs until ctx is
// done or a part of it ends. What it started has ended when it returns.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(Ready)) (err error) {
	if cfg.Lease == (contract.Lease{}) {
		cfg.Lease = contract.DefaultLease()
	}
	home := home{dir: cfg.Home}
	if err := home.make(); err != nil {
		return err
	}
	if _, err := os.Stat(cfg.Runner); err != nil {
		return fmt.Errorf("rdev-runner is missing beside rdev (make build makes both): %w", err)
	}

	server, err := startNATS(cfg, home, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	// From here on this process alone owns the home.
	if err := home.forget(); err != nil {
		return err
	}
	if _, err := home.secret("key-pepper"); err != nil {
		return err
	}
	if cfg.Files, err = home.files(cfg.Files); err != nil {
		return err
	}
	database, err := startPostgres(ctx, cfg, home, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.stop(ctx)) }()
	redis, err := startRedis(ctx, cfg, home, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.stop(ctx)) }()
	if err := migrateAll(ctx, cfg, server, database, log); err != nil {
		return err
	}

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("the API cannot listen on RDEV_ADDR: %w", err)
	}
	conn, err := connect(ctx, server, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer conn.Close()

	beside := &web{}
	cfg.Far = cfg.far(home, database, redis, listener.Addr(), beside)
	state := Ready{
		URL: "http://" + listener.Addr().String(), NATSURL: server.URL(), APIKeyFile: home.path("api-key"), PID: os.Getpid(),
	}
	// Without gateway.Limits: one machine has one user, who may use it up.
	gatewayConfig := gateway.Config{
		NATS: server.as(contract.ServiceGateway), DatabaseURL: database.as(contract.ServiceGateway), KeyPepper: home.path("key-pepper"),
		Listener: listener, Around: beside.around,
	}
	if state.NewKey, err = home.firstKey(ctx, gatewayConfig, log.With("service", "gateway")); err != nil {
		return errors.Join(err, listener.Close())
	}
	services, err := cfg.services(home, server, database, gatewayConfig, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	parts := append([]service.Part{{Name: "postgres", Run: database.run}, {Name: "redis", Run: redis.run}}, services...)
	parts = append(parts, service.Part{Name: "ready", Run: func(ctx context.Context) error {
		if err := awaitServices(ctx, conn); err != nil {
			return err
		}
		if err := home.announce(state); err != nil {
			return err
		}
		ready(state)
		<-ctx.Done()
		return home.forget()
	}})
	return service.Run(ctx, parts...)
}

// services are the five, in the order of their start: the gateway is the last
// to start and the first to stop.
func (cfg Config) services(home home, server *natsServer, database *postgres, gatewayConfig gateway.Config, log *slog.Logger) ([]service.Part, error) {
	gatewayConfig.Files = cfg.Files
	notifierConfig, err := envutil.LoadFrom[notifier.Config](map[string]string{
		"NOTIFIER_DATABASE_URL": database.as(contract.ServiceNotifier), "RDEV_WEBHOOK_ALLOW": cfg.WebhookAllow,
	})
	if err != nil {
		return nil, err
	}
	notifierConfig.NATS = server.as(contract.ServiceNotifier)
	auditConfig := audit.Config{NATS: server.as(contract.ServiceAudit), DatabaseURL: database.as(contract.ServiceAudit), Lease: cfg.Lease}
	masterKey, err := home.masterKey()
	if err != nil {
		return nil, err
	}
	provisionerConfig := provisioner.Config{
		NATS: server.as(contract.ServiceProvisioner), DatabaseURL: database.as(contract.ServiceProvisioner),
		Workspaces: home.path("workspaces"), Lease: cfg.Lease, Runtime: cfg.Runtime, Pods: cfg.Pods, MasterKey: provisioner.MasterKey{File: masterKey},
		Far: cfg.Far, Files: cfg.Files, ArtifactsAge: artifactsAge, CachesAge: cachesAge,
	}
	cfg.Executor.Runtime, cfg.Executor.Files = cfg.Runtime, cfg.Files
	cfg.Executor.NATS, cfg.Executor.Lease = server.as(contract.ServiceExecutor), cfg.Lease
	cfg.Executor.Runner, cfg.Executor.EndRunsOnStop, cfg.Executor.WorkersDir = cfg.Runner, true, home.path("workers")
	if cfg.Executor.Path == "" && cfg.Runtime != contract.RuntimeKube {
		cfg.Executor.Path = cfg.Path
	}
	return []service.Part{
		part("audit", audit.Run, auditConfig, log),
		part("notifier", notifier.Run, notifierConfig, log),
		part("provisioner", provisioner.Run, provisionerConfig, log),
		part("executor", executor.Run, cfg.Executor, log),
		part("gateway", gateway.Run, gatewayConfig, log),
	}, nil
}

// part binds a service to its configuration and a logger that names it.
func part[C any](name string, run func(context.Context, C, *slog.Logger) error, cfg C, log *slog.Logger) service.Part {
	return service.Part{Name: name, Run: func(ctx context.Context) error { return run(ctx, cfg, log.With("service", name)) }}
}

// connect connects as the operator, and takes back what an rdev before had in hand.
func connect(ctx context.Context, server *natsServer, log *slog.Logger) (*bus.Conn, error) {
	conn, err := bus.Connect(ctx, bus.Options{NATS: server.asOperator(), Service: "up", Log: log})
	if err != nil {
		return nil, err
	}
	// Whoever worked on a command here has ended: there is one rdev on a home.
	for _, consumer := range []string{contract.ConsumerExecutor, contract.ConsumerProvisioner} {
		if err := conn.TakeBack(ctx, consumer); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// awaitServices returns once all five answer.
func awaitServices(ctx context.Context, conn *bus.Conn) error {
	for _, name := range []string{contract.ServiceAudit, contract.ServiceProvisioner, contract.ServiceExecutor, contract.ServiceNotifier, contract.ServiceGateway} {
		if err := conn.AwaitService(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Announce writes the lines that a person reads when everything is up.
func Announce(w io.Writer, r Ready) {
	fmt.Fprintf(w, "rdev is up at %s (NATS at the nats_url of %s)\n", r.URL, filepath.Join(filepath.Dir(r.APIKeyFile), "ready.json"))
	if r.NewKey != "" {
		fmt.Fprintf(w, "\nThe first API key, shown this once and kept in %s:\n\n  %s\n", r.APIKeyFile, r.NewKey)
	}
	fmt.Fprintf(w, "\nTry, in another terminal:\n\n  rdev projects create shop\n  rdev run -p shop -- sh -c 'echo hello from $(pwd)'\n\nCtrl-C stops it.\n")
}
