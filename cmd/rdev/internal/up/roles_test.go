package up_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/database/local"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

// tables are one of each schema that a service keeps.
func tables() map[string]string {
	return map[string]string{"audit": "operations", "gateway": "keys", "notifier": "endpoints", "provisioner": "credentials"}
}

// connect opens the database of a home as a role, or as its superuser.
func connect(t *testing.T, home, role string) *pgx.Conn {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(home, "postgres", "password"))
	if err != nil {
		t.Fatal(err)
	}
	at := url.URL{
		Scheme: "postgres", User: url.UserPassword(local.Superuser, strings.TrimSpace(string(password))), Path: "/" + local.DefaultDatabase,
		RawQuery: url.Values{"host": {filepath.Join(home, "postgres", "run")}, "port": {"5432"}}.Encode(),
	}
	conn, err := pgx.Connect(t.Context(), at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if role != "" {
		if _, err := conn.Exec(t.Context(), "set session authorization "+role); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

func column(t *testing.T, conn *pgx.Conn, query string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// homeOfOneRole is what an rdev left in whose database one role did everything.
func homeOfOneRole(t *testing.T) string {
	t.Helper()
	home, err := os.MkdirTemp("", "rdev-") //nolint:usetesting // its path has to be short: a socket is in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	server, err := local.Start(t.Context(), local.Options{Dir: filepath.Join(home, "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	for _, migrate := range []func(context.Context, string) error{audit.Migrate, gateway.Migrate, notifier.Migrate, provisioner.Migrate} {
		if err := migrate(t.Context(), server.URL("")); err != nil {
			t.Fatal(err)
		}
	}
	conn := connect(t, home, "")
	const row = `insert into notifier.endpoints (id, url, events, projects, description, secret, created_at, enabled)
		values ('0192f3a1-0000-7000-8000-000000000000', 'https://example.com/kept', '{*}', '{}', '', 'whsec_x', now(), false)`
	if _, err := conn.Exec(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(t.Context()), server.Stop(t.Context())); err != nil {
		t.Fatal(err)
	}
	return home
}

func TestServicesHaveRolesOfTheirOwnAlsoInAHomeThatHadOneForAll(t *testing.T) {
	home := homeOfOneRole(t)
	i := start(t, home)
	i.must("projects", "create", "shop")
	i.must("run", "--", "true")
	all := connect(t, home, "")
	for _, query := range []string{
		`select distinct substr(application_name, 6) || ' is ' || usename from pg_stat_activity
			where application_name in ('rdev-audit', 'rdev-gateway', 'rdev-notifier', 'rdev-provisioner') and 'rdev_' || substr(application_name, 6) <> usename`,
		`select schemaname || '.' || tablename from pg_tables where schemaname in ('audit', 'gateway', 'notifier', 'provisioner') and tableowner <> 'rdev_migrate'`,
	} {
		if wrong := column(t, all, query); len(wrong) > 0 {
			t.Errorf("%s\nthere is %q", query, wrong)
		}
	}
	if users := column(t, all, `select distinct usename::text from pg_stat_activity where usename like 'rdev\_%' order by 1`); !slices.Equal(users,
		[]string{"rdev_audit", "rdev_gateway", "rdev_notifier", "rdev_provisioner"}) {
		t.Errorf("connected are %q", users)
	}
	if kept := column(t, all, `select url from notifier.endpoints`); !slices.Equal(kept, []string{"https://example.com/kept"}) {
		t.Errorf("of what was there is left %q", kept)
	}
	for service := range tables() {
		t.Run(service, func(t *testing.T) { mayDoNothingElse(t, connect(t, home, database.Role(service)), service) })
	}
	i.stop()
	again := start(t, home)
	again.must("projects", "list")
	again.stop()
}

// mayDoNothingElse tries what a service's role is forbidden in a home.
func mayDoNothingElse(t *testing.T, conn *pgx.Conn, service string) {
	t.Helper()
	own := service + "." + tables()[service]
	forbidden := []string{
		"alter table " + own + " add column x int", "drop table " + own, "create table " + service + ".x (id int)", "create index on " + own + " (ctid)",
		"drop schema " + service + " cascade", "insert into " + service + ".goose_db_version (version_id, is_applied) values (9, true)",
		"create schema x", "create table public.x (id int)", "create temporary table x (id int)", "set role rdev_migrate", "set role rdev", "create role x",
		"copy " + own + " to program 'true'", "select pg_read_file('PG_VERSION')", "select rolpassword from pg_authid",
	}
	for other, table := range tables() {
		if other != service {
			forbidden = append(forbidden, "select 1 from "+other+"."+table, "delete from "+other+"."+table, "select 1 from "+other+".goose_db_version")
		}
	}
	for _, statement := range forbidden {
		_, err := conn.Exec(t.Context(), statement)
		if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != "42501" {
			t.Errorf("%s: got %v", statement, err)
		}
	}
	for _, statement := range []string{"select 1 from " + own, "delete from " + own + " where false"} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestADatabaseOfOnesOwnHasOneRole(t *testing.T) {
	at := testkit.Postgres(t)
	t.Setenv("RDEV_DATABASE_URL", at)
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	i.stop()
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if owners := column(t, conn, `select distinct tableowner::text from pg_tables where schemaname = 'audit'`); !slices.Equal(owners, []string{conn.Config().User}) {
		t.Errorf("the tables are %q's", owners)
	}
}
