package database_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/database/local"
)

// cluster is a PostgreSQL with the roles of an installation, and its superuser's URL.
type cluster struct {
	owner     string
	passwords map[string]string
}

// newCluster starts a server of the test's own: roles are those of a whole server.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	server, err := local.Start(t.Context(), local.Options{Dir: filepath.Join(t.TempDir(), "postgres"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &cluster{owner: server.URL("")}
}

func (c *cluster) makeRoles(t *testing.T) {
	t.Helper()
	c.passwords = map[string]string{database.RoleMigrate: rand.Text(), database.Role("audit"): rand.Text(), database.Role("gateway"): rand.Text()}
	if err := database.MakeRoles(t.Context(), c.owner, []string{"audit", "gateway"}, c.passwords); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) as(t *testing.T, role string) string {
	t.Helper()
	at, err := url.Parse(c.owner)
	if err != nil {
		t.Fatal(err)
	}
	at.User = url.UserPassword(role, c.passwords[role])
	return at.String()
}

func TestEachRoleReadsAndWritesInItsOwnSchemaAndChangesNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	// What one role made before, as homes of earlier versions have it.
	if err := database.Migrate(t.Context(), c.owner, "audit", twoMigrations()); err != nil {
		t.Fatal(err)
	}
	c.makeRoles(t)
	if _, err := database.Open(t.Context(), c.as(t, "rdev_audit"), "audit", twoMigrations()); err == nil || !strings.Contains(err.Error(), "let one that may migrate first") {
		t.Errorf("before anybody has migrated: got %v", err)
	}
	later := twoFiles()
	later["0003_more.sql"] = migration("alter table things add column what text;\ncreate table more (id int);")
	for range 2 { // each start does it again, with other passwords
		for _, schema := range []string{"audit", "gateway"} {
			if err := database.Migrate(t.Context(), c.as(t, database.RoleMigrate), schema, these(later)); err != nil {
				t.Fatal(err)
			}
			open(t, c.as(t, database.Role(schema)), schema, these(later))
		}
		c.makeRoles(t)
	}

	// own stands for the schema of the role, other for that of another.
	allowed := []string{
		"select * from own.things", "insert into own.things (id) values (7)", "update own.things set what = 'x'", "delete from own.things",
		"truncate own.things", "select * from own.goose_db_version",
	}
	forbidden := []string{
		"select * from other.things", "insert into other.things (id) values (7)", "update other.things set what = 'x'", "delete from other.things",
		"truncate other.things", "select * from other.goose_db_version",
		"insert into own.goose_db_version (version_id, is_applied) values (9, true)", "delete from own.goose_db_version", "update own.goose_db_version set version_id = 9",
		"create table own.more2 (id int)", "alter table own.things add column x int", "drop table own.things", "create index on own.things (what)",
		"create trigger t before insert on own.things for each row execute function suppress_redundant_updates_trigger()",
		"alter table own.things owner to current_user", "grant rdev_migrate to current_user", "set role rdev_migrate", "set role rdev",
		"create schema mine", "drop schema own cascade", "alter schema own rename to x", "create table public.x (id int)", "create temporary table x (id int)",
		"create role x", "alter role rdev_migrate password 'x'", "copy own.things to program 'true'", "select pg_read_file('PG_VERSION')",
		"select rolpassword from pg_authid",
	}
	for mine, theirs := range map[string]string{"audit": "gateway", "gateway": "audit"} {
		conn, err := pgx.Connect(t.Context(), c.as(t, database.Role(mine)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		try := func(statement string) error {
			statement = strings.NewReplacer(" other.", " "+theirs+".", " own.", " "+mine+".", " own ", " "+mine+" ").Replace(statement)
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(t.Context())
			_, err = tx.Exec(t.Context(), statement)
			return err
		}
		for _, statement := range allowed {
			if err := try(statement); err != nil {
				t.Errorf("%s: %s: %v", mine, statement, err)
			}
		}
		for _, statement := range forbidden {
			if answer, ok := errors.AsType[*pgconn.PgError](try(statement)); !ok || answer.Code != "42501" {
				t.Errorf("%s: %s: got %v", mine, statement, answer)
			}
		}
		var more bool
		const attributes = `select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls from pg_roles where rolname = current_user`
		if err := conn.QueryRow(t.Context(), attributes).Scan(&more); err != nil || more {
			t.Errorf("%s may do more: %t, %v", mine, more, err)
		}
		at, err := url.Parse(c.as(t, database.Role(mine)))
		if err != nil {
			t.Fatal(err)
		}
		at.Path = "/template1"
		if conn, err := pgx.Connect(t.Context(), at.String()); err == nil {
			conn.Close(t.Context())
			t.Errorf("%s connects to another database", mine)
		}
	}
}
