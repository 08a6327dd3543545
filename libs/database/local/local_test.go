package local_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orchard9/rdev/libs/database/local"
)

// patience bounds every wait of these tests on a loaded machine.
const patience = time.Minute

// template is shared by the tests of this package, so that only one runs initdb for it.
func template(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cache, "rdev", "test", "template")
}

func start(t *testing.T, options local.Options) *local.Server {
	t.Helper()
	server, err := local.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t *testing.T, server *local.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func execute(t *testing.T, url, statement string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(t.Context(), statement)
	return errors.Join(err, conn.Close(t.Context()))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDataAndPasswordSurviveStopAndStart(t *testing.T) {
	t.Parallel()
	options := local.Options{Dir: t.TempDir(), Durable: true}
	server := start(t, options)
	url := server.URL("")
	must(t, execute(t, url, `create table kept (id int)`))
	stop(t, server)
	select {
	case <-server.Done():
	default:
		t.Error("Done is open after Stop")
	}
	if _, err := os.Stat(filepath.Join(options.Dir, "run")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket directory is still there: %v", err)
	}
	again := start(t, options)
	must(t, execute(t, again.URL("postgres"), `insert into kept values (1)`))
	if again.URL("") != url && !strings.Contains(url, "127.0.0.1") {
		t.Error("the URL changed although the socket did not")
	}
}

func TestNobodyGetsInWithoutThePassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, local.Options{Dir: dir, Template: template(t)})
	config, err := pgx.ParseConfig(server.URL(""))
	must(t, err)
	if config.Password == "" {
		t.Fatal("there is no password")
	}
	config.Password = "guess"
	_, err = pgx.ConnectConfig(t.Context(), config)
	if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != "28P01" {
		t.Errorf("got %v", err)
	}
	for name, want := range map[string]fs.FileMode{"password": 0o600, "data": 0o700, "run": 0o700, "postgres.log": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestADirectoryHasOneSupervisor(t *testing.T) {
	t.Parallel()
	options := local.Options{Dir: t.TempDir(), Template: template(t)}
	first := start(t, options)
	if _, err := local.Start(t.Context(), options); !errors.Is(err, local.ErrInUse) {
		t.Fatalf("got %v", err)
	}
	must(t, execute(t, first.URL(""), `select 1`))
	stop(t, first)
	start(t, options)
}

func TestALongPathStillGetsAnAddress(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	server := start(t, local.Options{Dir: dir, Template: template(t)})
	must(t, execute(t, server.URL(""), `select 1`))
	if strings.Contains(server.URL(""), "long") {
		t.Errorf("the socket is in the long path: %s", server.URL(""))
	}
}

func TestStopEndsOpenTransactionsAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	server := start(t, local.Options{Dir: t.TempDir(), Template: template(t)})
	conn, err := pgx.Connect(t.Context(), server.URL(""))
	must(t, err)
	_, err = conn.Begin(t.Context())
	must(t, err)
	stop(t, server)
	stop(t, server)
}

func TestAServerThatIsGivenIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	const given = "postgres://me:secret@db.example:5433/mine?sslmode=require"
	server := start(t, local.Options{URL: given})
	if got := server.URL(""); got != given {
		t.Errorf("got %s", got)
	}
	if got, want := server.URL("other"), strings.Replace(given, "/mine", "/other", 1); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	stop(t, server)
	select {
	case <-server.Done():
		t.Error("a server that is not ours was reported as ended")
	default:
	}
	if _, err := local.Start(t.Context(), local.Options{URL: "mysql://me:secret@db"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestDataOfAnotherVersionIsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := local.Start(t.Context(), local.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "was written by PostgreSQL 9") {
		t.Errorf("got %v", err)
	}
}

func TestAStartThatFailsLeavesTheDirectoryFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := local.Options{Dir: dir}
	broken := filepath.Join(dir, "data", "PG_VERSION")
	must(t, os.Mkdir(filepath.Dir(broken), 0o700))
	must(t, os.WriteFile(broken, []byte("nonsense"), 0o600))
	if _, err := local.Start(t.Context(), options); err == nil || errors.Is(err, local.ErrInUse) {
		t.Fatalf("got %v", err)
	}
	must(t, os.RemoveAll(filepath.Dir(broken)))
	options.Template = template(t)
	start(t, options)
}
