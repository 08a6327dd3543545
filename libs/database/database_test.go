package database_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
)

func migration(statements string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("-- +goose Up\n" + statements + "\n")}
}

// these are the migrations of any schema.
func these(files fstest.MapFS) database.Migrations {
	return func(string) (fs.FS, error) { return files, nil }
}

func twoFiles() fstest.MapFS {
	return fstest.MapFS{
		"0001_things.sql": migration(`create table things (id int primary key, made timestamptz not null default now());`),
		"0002_first.sql":  migration(`insert into things (id) values (1);`),
	}
}

func twoMigrations() database.Migrations { return these(twoFiles()) }

func open(t *testing.T, url, schema string, migrations database.Migrations, options ...database.Option) *pgxpool.Pool {
	t.Helper()
	pool, err := database.Open(t.Context(), url, schema, migrations, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func value[T any](t *testing.T, pool *pgxpool.Pool, query string) T {
	t.Helper()
	var result T
	if err := pool.QueryRow(t.Context(), query).Scan(&result); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return result
}

func TestOpenPutsEverythingIntoTheSchema(t *testing.T) {
	t.Parallel()
	pool := open(t, testkit.Postgres(t), "audit", twoMigrations())
	for query, want := range map[string]string{
		`show search_path`:      "audit",
		`show timezone`:         "UTC",
		`show application_name`: "rdev-audit",
		`select string_agg(tablename, ' ' order by tablename) from pg_tables where schemaname = 'audit'`: "goose_db_version things",
		`select count(*)::text from pg_tables where schemaname = 'public'`:                               "0",
	} {
		if got := value[string](t, pool, query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

func TestTimesArriveInUTC(t *testing.T) {
	t.Parallel()
	pool := open(t, testkit.Postgres(t), "audit", twoMigrations())
	if zone := value[time.Time](t, pool, `select made from things`).Location(); zone != time.UTC {
		t.Errorf("a time arrived in %s", zone)
	}
	if zone := value[[]time.Time](t, pool, `select array[made] from things`)[0].Location(); zone != time.UTC {
		t.Errorf("a time in an array arrived in %s", zone)
	}
}

func TestManyProcessesThatOpenAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			pool, err := database.Open(t.Context(), url, "audit", twoMigrations())
			if err != nil {
				t.Error(err)
				return
			}
			pool.Close()
		})
	}
	group.Wait()
	pool := open(t, url, "audit", twoMigrations())
	if got := value[int](t, pool, `select count(*) from things`); got != 1 {
		t.Errorf("the second migration ran %d times", got)
	}
}

func TestALaterVersionAppliesOnlyWhatIsNewAndAnOlderOneStillOpens(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	old, later := twoMigrations(), twoFiles()
	open(t, url, "audit", old)
	later["0003_more.sql"] = migration(`insert into things (id) values (2);`)
	pool := open(t, url, "audit", these(later))
	if got := value[int](t, pool, `select count(*) from things`); got != 2 {
		t.Errorf("%d rows, want 2", got)
	}
	open(t, url, "audit", old)
}

func TestAFailedMigrationLeavesNothingOfItselfBehind(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	_, err := database.Open(t.Context(), url, "audit", these(fstest.MapFS{
		"0001_things.sql": migration("create table things (id int);\ncreate table things (id int);"),
	}))
	if err == nil || !strings.HasPrefix(err.Error(), "database audit: migrate: ") || !strings.Contains(err.Error(), "0001_things.sql") {
		t.Fatalf("got %v", err)
	}
	open(t, url, "audit", twoMigrations())
}

func TestTwoSchemasInOneDatabaseDoNotMeet(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	audit := open(t, url, "audit", twoMigrations())
	gateway := open(t, url, "gateway", nil)
	open(t, url, "notifier", these(fstest.MapFS{}))
	if got := value[bool](t, gateway, `select to_regclass('things') is null`); !got {
		t.Error("gateway sees the table of audit")
	}
	if got := value[bool](t, audit, `select to_regclass('things') is null`); got {
		t.Error("audit does not see its table")
	}
}

func TestThePoolIsBoundedAsAsked(t *testing.T) {
	t.Parallel()
	url := testkit.Postgres(t)
	for want, pool := range map[int32]*pgxpool.Pool{
		database.DefaultMaxConnections: open(t, url, "audit", nil),
		3:                              open(t, url, "audit", nil, database.MaxConnections(3)),
		9:                              open(t, url+"&pool_max_conns=9", "audit", nil),
	} {
		if got := pool.Config().MaxConns; got != want {
			t.Errorf("got %d connections, want %d", got, want)
		}
	}
}

func TestOpenFailsAtOnceOnWhatWaitingDoesNotChange(t *testing.T) {
	t.Parallel()
	// Patience beyond the timeout of a test run: it would not end if it waited.
	forever := database.Patience(time.Hour)
	url := testkit.Postgres(t)
	_, err := database.Open(t.Context(), strings.Replace(url, "/test_", "/missing_", 1), "audit", nil, forever)
	if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != "3D000" {
		t.Errorf("missing database: got %v", err)
	}
	for _, schema := range []string{"", "Audit", "a-b", `a"b`, strings.Repeat("a", 41)} {
		if _, err := database.Open(t.Context(), url, schema, nil, forever); err == nil {
			t.Errorf("schema %q was accepted", schema)
		}
	}
	_, err = database.Open(t.Context(), "postgres://rdev:secret@local host/x", "audit", nil, forever)
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("malformed URL: got %v", err)
	}
}

func TestOpenWaitsForAServerThatComesUpLater(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	url := fmt.Sprintf("postgres://rdev:secret@%s/x?sslmode=disable", address)

	_, err = database.Open(t.Context(), url, "audit", nil, database.Patience(250*time.Millisecond))
	if err == nil || !strings.HasPrefix(err.Error(), "database audit: connect: ") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}

	// Something answers only after a while; that it was called shows that Open came back.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, err := database.Open(ctx, url, "audit", nil)
		result <- err
	}()
	select {
	case err := <-result:
		t.Fatalf("Open did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	listener, err = net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	cancel()
	if err := <-result; err == nil {
		t.Error("Open returned a pool without a server")
	}
}
