// Package database opens the PostgreSQL schema of a service: a connection pool
// that sees nothing else, with the service's migrations applied.
package database

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultMaxConnections is the size of a pool unless MaxConnections, or
// pool_max_conns in the URL, says otherwise.
const DefaultMaxConnections = 6

// DefaultPatience is how long Open waits for a server that does not accept
// connections yet, unless Patience says otherwise.
const DefaultPatience = 30 * time.Second

const connectTimeout = 5 * time.Second

// schemaPattern keeps schema names free of quoting.
var schemaPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

type settings struct {
	maxConnections int32
	patience       time.Duration
}

// Migrations finds the migrations of a schema, goose SQL files; nil stands for
// none at all.
type Migrations func(schema string) (fs.FS, error)

// Option changes how Open opens.
type Option func(*settings)

// MaxConnections bounds the pool to n connections.
func MaxConnections(n int32) Option { return func(s *settings) { s.maxConnections = n } }

// Patience bounds the wait for a server that does not accept connections yet.
func Patience(d time.Duration) Option { return func(s *settings) { s.patience = d } }

// Open connects to the database at url, brings the schema up to date as Migrate
// does, and returns a pool whose connections have the schema as their search
// path and UTC as their time zone. A role that may not change the schema will do
// where nothing has to be changed; one that may not read and write all of it is told
// which rights it lacks. The caller closes the pool.
func Open(ctx context.Context, url, schema string, migrations Migrations, options ...Option) (*pgxpool.Pool, error) {
	config, err := migrated(ctx, url, schema, migrations, options)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("database %s: open the pool: %w", schema, err)
	}
	return pool, nil
}

// Migrate connects to the database at url, creates the schema if it is missing,
// and applies the migrations that it lacks. Any number of processes may do so at
// once: one migrates, the others wait for it. A server that is still starting is
// waited for; a wrong password or a missing database fails at once. As RoleMigrate it
// then lets the role of the schema read and write there.
func Migrate(ctx context.Context, url, schema string, migrations Migrations) error {
	_, err := migrated(ctx, url, schema, migrations, nil)
	return err
}

// migrated is how to connect to the schema, which is up to date.
func migrated(ctx context.Context, url, schema string, migrations Migrations, options []Option) (*pgxpool.Config, error) {
	if !schemaPattern.MatchString(schema) {
		return nil, fmt.Errorf("database: %q is not the name of a schema", schema)
	}
	config, patience, err := configure(url, schema, options)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", schema, err)
	}
	if err := migrate(ctx, config.ConnConfig, schema, migrations, patience); err != nil {
		return nil, fmt.Errorf("database %s: %w", schema, err)
	}
	return config, nil
}

func configure(url, schema string, options []Option) (*pgxpool.Config, time.Duration, error) {
	chosen := settings{patience: DefaultPatience}
	for _, option := range options {
		option(&chosen)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, 0, fmt.Errorf("read the database URL: %w", err)
	}
	switch {
	case chosen.maxConnections > 0:
		config.MaxConns = chosen.maxConnections
	case !strings.Contains(url, "pool_max_conns="):
		config.MaxConns = DefaultMaxConnections
	}
	config.MinConns = min(config.MinConns, config.MaxConns)
	config.MaxConnIdleTime = 5 * time.Minute
	config.MaxConnLifetime = time.Hour
	config.MaxConnLifetimeJitter = 10 * time.Minute
	config.AfterConnect = scanTimesAsUTC
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = "rdev-" + schema
	config.ConnConfig.RuntimeParams["search_path"] = schema
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	return config, chosen.patience, nil
}

// scanTimesAsUTC makes timestamps arrive in UTC; the driver would otherwise put
// them in the zone of this machine.
func scanTimesAsUTC(_ context.Context, conn *pgx.Conn) error {
	types := conn.TypeMap()
	instant := &pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}}
	types.RegisterType(instant)
	types.RegisterType(&pgtype.Type{Name: "_timestamptz", OID: pgtype.TimestamptzArrayOID, Codec: &pgtype.ArrayCodec{ElementType: instant}})
	return nil
}
