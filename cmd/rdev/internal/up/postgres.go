package up

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/orchard9/rdev/libs/bus/access"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/database/local"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

// postgres is the server with the passwords of its roles, which live as long as this
// process: a service may do here what it may in any installation, and no more. At
// RDEV_DATABASE_URL there is one role, that of the URL, for all.
type postgres struct {
	*local.Server

	passwords map[string]string // by role; none at RDEV_DATABASE_URL
}

// tabled are the services with tables, and how each migrates them.
func tabled() map[string]func(ctx context.Context, url string) error {
	return map[string]func(ctx context.Context, url string) error{
		contract.ServiceAudit: audit.Migrate, contract.ServiceGateway: gateway.Migrate,
		contract.ServiceNotifier: notifier.Migrate, contract.ServiceProvisioner: provisioner.Migrate,
	}
}

// startPostgres starts the server, or finds the one at RDEV_DATABASE_URL. The caller
// stops it.
func startPostgres(ctx context.Context, cfg Config, home home, log *slog.Logger) (*postgres, error) {
	server, err := local.Start(ctx, local.Options{
		URL: cfg.Database, Dir: home.path("postgres"), Durable: !cfg.Unsynced, Registry: cfg.Registry, Log: log.With("service", "postgres"),
	})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return &postgres{Server: server}, nil
}

// stop ends the server, where it is ours.
func (p *postgres) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDatabase)
	defer cancel()
	return p.Stop(ctx)
}

// migrate makes the roles, also in a home whose tables were one role's, and brings
// every schema up to date.
func (p *postgres) migrate(ctx context.Context) error {
	passwords := map[string]string{database.RoleMigrate: rand.Text(), database.RoleProjects: rand.Text()}
	var schemas []string
	for service := range tabled() {
		schemas = append(schemas, service)
		passwords[database.Role(service)] = rand.Text()
	}
	if err := database.MakeRoles(ctx, p.URL(""), schemas, passwords); err != nil {
		return err
	}
	p.passwords = passwords
	for _, migrate := range tabled() {
		if err := migrate(ctx, p.withRole(database.RoleMigrate)); err != nil {
			return err
		}
	}
	return nil
}

// as is how a service connects.
func (p *postgres) as(service string) string { return p.withRole(database.Role(service)) }

// forProjects is how the provisioner connects to make databases of projects. A role at
// RDEV_DATABASE_URL may do so, or it says what it lacks.
func (p *postgres) forProjects() string { return p.withRole(database.RoleProjects) }

func (p *postgres) withRole(role string) string {
	if p.passwords == nil {
		return p.URL("")
	}
	at, _ := url.Parse(p.URL("")) // it is made of one
	at.User = url.UserPassword(role, p.passwords[role])
	return at.String()
}

// migrateAll brings streams and tables up to date before a service starts. Services at
// RDEV_DATABASE_URL do so themselves: their role is the only one.
func migrateAll(ctx context.Context, cfg Config, streams *natsServer, tables *postgres, log *slog.Logger) error {
	migrate := gateway.Streams{NATS: streams.as(access.Migrate), Replicas: 1, Lease: cfg.Lease}
	err := gateway.MigrateStreams(ctx, migrate, log.With("service", "migrate"), io.Discard)
	if err == nil && cfg.Database == "" {
		err = tables.migrate(ctx)
	}
	return err
}

// run ends the whole when PostgreSQL ends by itself.
func (p *postgres) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.Done():
		return errors.New("the server ended by itself; its log is in $RDEV_HOME/postgres/postgres.log")
	}
}
