package database

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// lockPoll is how often a process looks whether another one is done migrating.
const lockPoll = 50 * time.Millisecond

// migrate brings the schema up to date while it holds an advisory lock, which
// the server releases with the connection, however this process ends.
func migrate(ctx context.Context, config *pgx.ConnConfig, schema string, migrations Migrations, patience time.Duration) (err error) {
	conn, err := connect(ctx, config, patience)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := lock(ctx, conn, schema); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	// The existence is asked first, because "if not exists" wants the right to create all the same.
	var exists, usable bool
	err = conn.QueryRow(ctx, `select count(*) > 0, coalesce(bool_and(has_schema_privilege(oid, 'usage')), false) from pg_namespace where nspname = $1`,
		schema).Scan(&exists, &usable)
	if err != nil {
		return fmt.Errorf("look up the schema: %w", err)
	}
	switch {
	case exists && !usable:
		return fmt.Errorf("use the schema: %s", advice)
	case !exists:
		if _, err := conn.Exec(ctx, `create schema `+pgx.Identifier{schema}.Sanitize()); err != nil {
			return fmt.Errorf("create the schema: %w", advise(err))
		}
	}
	if migrations == nil {
		return nil
	}
	files, err := migrations(schema)
	if err != nil {
		return fmt.Errorf("find the migrations: %w", err)
	}
	if err := up(ctx, config, files); err != nil {
		return err
	}
	if err := grant(ctx, conn, schema); err != nil {
		return fmt.Errorf("grant the rights of %s: %w", Role(schema), err)
	}
	return checkRights(ctx, conn, schema)
}

// up applies what the schema lacks, in order, each file in its own transaction.
// There is no way down: what has landed is corrected by a later file.
func up(ctx context.Context, config *pgx.ConnConfig, migrations fs.FS) (err error) {
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations, goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("migrate: %s: %w", partial.Failed.Source.Path, advise(partial.Err))
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", advise(err))
	}
	return nil
}

// advice is what to do where a role that may only read and write has found something
// to migrate.
const advice = "this role may not do it, let one that may migrate first"

// advise gives the advice where it helps.
func advise(err error) error {
	const insufficientPrivilege = "42501"
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == insufficientPrivilege {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return err
}

// lock polls instead of waiting inside the server: a waiting statement holds a
// snapshot, and a migration that creates an index concurrently waits for those.
func lock(ctx context.Context, conn *pgx.Conn, schema string) error {
	sum := fnv.New64a()
	sum.Write([]byte("rdev migrations of " + schema))
	key := int64(sum.Sum64())
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		var held bool
		if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1)`, key).Scan(&held); err != nil || held {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}
