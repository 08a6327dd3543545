package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// RoleMigrate is the role that owns the schemas and changes them, where an
// installation has one for that. What it migrates it lets Role(schema) use.
const RoleMigrate = "rdev_migrate"

// RoleProjects makes the databases of projects, and their roles, where an installation has
// one server for everything.
const RoleProjects = "rdev_projects"

// Role is who reads and writes in a schema, where an installation has a role for each,
// and changes nothing of it.
func Role(schema string) string { return "rdev_" + schema }

// rights are all that a service needs on a table of its schema.
func rights(table string) []string {
	if table == goose.DefaultTablename { // what is migrated is for it to see
		return []string{"select"}
	}
	return []string{"select", "insert", "update", "delete", "truncate"}
}

// MakeRoles makes RoleMigrate and the role of each schema in the cluster of the
// database at url, to which a superuser connects, and gives them passwords, by name of
// the role; RoleProjects, where it has one, may make databases and roles. The schemas, and the tables that are in them already, belong to RoleMigrate
// from then on, and nobody but these roles gets into the database. What they may do in a
// schema they are granted by Migrate.
func MakeRoles(ctx context.Context, url string, schemas []string, passwords map[string]string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("make the roles of the database: connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for role, password := range passwords {
			if err := makeRole(ctx, tx, role, password); err != nil {
				return fmt.Errorf("%s: %w", role, err)
			}
		}
		statements := []string{
			"revoke all on database " + quoted(conn.Config().Database) + " from public",
			"revoke all on database template1 from public",
			"revoke all on schema public from public",
		}
		for role := range passwords {
			statements = append(statements, "grant connect on database "+quoted(conn.Config().Database)+" to "+quoted(role))
		}
		for _, schema := range schemas {
			statements = append(statements,
				"create schema if not exists "+quoted(schema),
				"alter schema "+quoted(schema)+" owner to "+quoted(RoleMigrate))
		}
		if err := execute(ctx, tx, statements); err != nil {
			return err
		}
		return handOver(ctx, tx, schemas)
	})
	if err != nil {
		return fmt.Errorf("make the roles of the database: %w", err)
	}
	return nil
}

func makeRole(ctx context.Context, tx pgx.Tx, role, password string) error {
	var exists bool
	if err := tx.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, role).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if err := execute(ctx, tx, []string{"create role " + quoted(role) + " login"}); err != nil {
			return err
		}
	}
	var statement string
	if err := tx.QueryRow(ctx, `select format('alter role %I password %L', $1::text, $2::text)`, role, password).Scan(&statement); err != nil {
		return err
	}
	statements := []string{statement}
	if role == RoleProjects {
		statements = append(statements, "alter role "+quoted(role)+" createdb createrole")
	}
	return execute(ctx, tx, statements)
}

// handOver gives the tables of schemas to RoleMigrate.
func handOver(ctx context.Context, tx pgx.Tx, schemas []string) error {
	rows, err := tx.Query(ctx, `
		select format('alter table %I.%I owner to %I', n.nspname, c.relname, $2::text)
		from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = any($1) and c.relkind in ('r', 'p') and c.relowner <> $2::text::regrole`, schemas, RoleMigrate)
	if err != nil {
		return fmt.Errorf("look up the tables: %w", err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look up the tables: %w", err)
	}
	return execute(ctx, tx, statements)
}

// grant lets the role of a schema do in it what a service does, and no more, where the
// schema was migrated by RoleMigrate: a role that does everything shares with nobody.
func grant(ctx context.Context, conn *pgx.Conn, schema string) error {
	var migrates bool
	if err := conn.QueryRow(ctx, `select current_user = $1`, RoleMigrate).Scan(&migrates); err != nil || !migrates {
		return err
	}
	tables, err := tablesOf(ctx, conn, schema)
	if err != nil {
		return err
	}
	role := quoted(Role(schema))
	statements := []string{"grant usage on schema " + quoted(schema) + " to " + role}
	for _, table := range tables {
		on := " on " + pgx.Identifier{schema, table}.Sanitize()
		statements = append(statements,
			"revoke all"+on+" from "+role,
			"grant "+strings.Join(rights(table), ", ")+on+" to "+role)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return execute(ctx, tx, statements) })
}

// checkRights finds out whether the role that connects may do in the schema what a
// service does there.
func checkRights(ctx context.Context, conn *pgx.Conn, schema string) error {
	tables, err := tablesOf(ctx, conn, schema)
	if err != nil {
		return err
	}
	var on, needed []string
	for _, table := range tables {
		for _, right := range rights(table) {
			on, needed = append(on, table), append(needed, right)
		}
	}
	rows, err := conn.Query(ctx, `
		select r.needed || ' on ' || $1 || '.' || r.on_table
		from unnest($2::text[], $3::text[]) with ordinality as r (on_table, needed, place)
		where not has_table_privilege(format('%I.%I', $1::text, r.on_table), r.needed)
		order by r.place`, schema, on, needed)
	if err != nil {
		return err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("the role %s lacks rights that this version needs (%s, when it migrates, gives them to %s): %s",
			conn.Config().User, RoleMigrate, Role(schema), strings.Join(missing, ", "))
	}
	return nil
}

func tablesOf(ctx context.Context, conn *pgx.Conn, schema string) ([]string, error) {
	rows, err := conn.Query(ctx, `
		select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = $1 and c.relkind in ('r', 'p') order by c.relname`, schema)
	if err != nil {
		return nil, fmt.Errorf("look up the tables: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look up the tables: %w", err)
	}
	return tables, nil
}

func execute(ctx context.Context, tx pgx.Tx, statements []string) error {
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
