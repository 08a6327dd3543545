package up_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/libs/testkit"
)

// askDatabase is the argument with which this program is one of a project, that uses its
// database.
const askDatabase = "ask-database"

// asksDatabase makes a table and prints what is in it.
func asksDatabase() int {
	err := func() error {
		env, err := envutil.Load[struct {
			URL string `env:"DATABASE_URL,notEmpty"`
		}]()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		conn, err := pgx.Connect(ctx, env.URL)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, `create table if not exists orders (id int); insert into orders values (1)`); err != nil {
			return err
		}
		var count int
		err = conn.QueryRow(ctx, `select count(*) from orders`).Scan(&count)
		_, _ = fmt.Fprintf(os.Stdout, "%d orders\n", count)
		return err
	}()
	if err != nil {
		return fail(err)
	}
	return 0
}

// program puts this program into the workspace of a project, as a command of it.
func (i *instance) program(slug string) string {
	i.t.Helper()
	path := filepath.Join(i.home, "workspaces", slug, "workspace", "orders")
	err := func() error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		from, err := os.Open(self)
		if err != nil {
			return err
		}
		defer from.Close()
		to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o700)
		if err != nil {
			return err
		}
		_, err = io.Copy(to, from)
		return errors.Join(err, to.Close())
	}()
	if err != nil {
		i.t.Fatal(err)
	}
	return path
}

const (
	rolesOfProjects     = `select rolname::text from pg_roles where rolname like 'project\_%'`
	databasesOfProjects = `select datname::text from pg_database where datname like 'project\_%'`
	markedDatabases     = databasesOfProjects + ` and shobj_description(oid, 'pg_database') is not null`
	openDatabases       = databasesOfProjects + ` and datacl is not null`
	keptCredentials     = `select name from provisioner.credentials where project = 'shop'`
)

func TestAProjectHasADatabaseOfItsOwn(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "blog")
	i.must("projects", "create", "shop", "--database")

	all := connect(t, i.home, "")
	names := column(t, all, databasesOfProjects)
	if len(names) != 1 {
		t.Fatalf("there are %q", names)
	}
	if out := i.must("projects", "get", "shop"); !strings.Contains(out, "database   "+names[0]+" at ") {
		t.Errorf("it is\n%s", out)
	}
	if out := i.must("projects", "get", "blog", "-o", "json"); !strings.Contains(out, `"database": null`) {
		t.Errorf("it is\n%s", out)
	}
	if out := i.must("projects", "get", "shop", "-o", "json"); strings.Contains(out, `"resources"`) {
		t.Errorf("it is\n%s", out)
	}
	program := i.program("shop")
	for n := range 2 {
		if out := i.must("run", "--credential", "DATABASE_URL", "--", program, askDatabase); out != fmt.Sprintf("%d orders\n", n+1) {
			t.Errorf("it says %q", out)
		}
	}
	if out := i.must("run", "--credential", "DATABASE_URL", "--", "sh", "-c", `printf %s "$DATABASE_URL" > url; echo "it is $DATABASE_URL"`); out != "it is [redacted:DATABASE_URL]\n" {
		t.Errorf("it says %q", out)
	}
	address, err := os.ReadFile(filepath.Join(i.home, "workspaces", "shop", "workspace", "url"))
	if err != nil {
		t.Fatal(err)
	}
	asProject, err := pgx.Connect(t.Context(), string(address))
	if err != nil {
		t.Fatal(err)
	}
	defer asProject.Close(context.WithoutCancel(t.Context()))
	for _, database := range []string{"postgres", "template1"} {
		config := asProject.Config().Copy()
		config.Database = database
		if conn, err := pgx.ConnectConfig(t.Context(), config); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("it connects to %s, where rdev is: %v", database, err)
			if err == nil {
				_ = conn.Close(t.Context())
			}
		}
	}
	password := asProject.Config().Password
	if log, err := os.ReadFile(filepath.Join(i.home, "rdev.log")); err != nil && !os.IsNotExist(err) || strings.Contains(string(log), password) || strings.Contains(i.output.String(), password) {
		t.Errorf("the password is in the log, or there is none: %v", err)
	}
	var events json.RawMessage
	if err := i.request(http.MethodGet, "/operations?project=shop", "", &events); err != nil || strings.Contains(string(events), password) || !strings.Contains(string(events), names[0]) {
		t.Errorf("the operations say %s, %v", events, err)
	}

	i.must("projects", "delete", "shop", "--yes")
	for _, query := range []string{rolesOfProjects, databasesOfProjects, keptCredentials} {
		if left := column(t, all, query); len(left) > 0 {
			t.Errorf("left is %q", left)
		}
	}
	i.must("projects", "create", "shop", "--database")
	i.must("projects", "delete", "shop", "--yes")
	i.stop()
}

// All of rdev is killed while a database is being made: in the end there is a project that
// has one, and after its end nothing.
func TestADatabaseOutlivesAnRdevThatIsKilled(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	again := 0
	for _, stage := range []string{"", rolesOfProjects, databasesOfProjects, markedDatabases, openDatabases, keptCredentials} {
		id := strings.TrimSpace(i.must("projects", "create", "shop", "--database", "--no-wait"))
		if stage != "" {
			all := connect(t, home, "")
			testkit.Eventually(t, func() error {
				if len(column(t, all, stage)) == 0 {
					return errors.New("it has not begun")
				}
				return nil
			})
		}
		i.kill()
		i = start(t, home)
		var op contract.Operation
		testkit.Eventually(t, func() error {
			err := i.request(http.MethodGet, "/operations/"+id, "", &op)
			if err == nil && !op.State.Ended() {
				err = fmt.Errorf("it is %s", op.State)
			}
			return err
		})
		if op.State != contract.Completed {
			t.Fatalf("killed at %q it is %s: %+v", stage, op.State, op.Failure)
		}
		again += op.Attempt - 1
		if out := i.must("run", "--credential", "DATABASE_URL", "--", i.program("shop"), askDatabase); out != "1 orders\n" {
			t.Errorf("killed at %q its program says %q", stage, out)
		}
		i.must("projects", "delete", "shop", "--yes")
		all := connect(t, home, "")
		for _, query := range []string{rolesOfProjects, databasesOfProjects, keptCredentials} {
			if left := column(t, all, query); len(left) > 0 {
				t.Errorf("killed at %q left is %q", stage, left)
			}
		}
	}
	if again == 0 {
		t.Error("no attempt was cut off: this test kills nothing")
	}
	t.Logf("attempts that were cut off: %d", again)
	i.stop()
}

func TestADatabaseOfOnesOwnThatGivesNoneSaysSo(t *testing.T) {
	at := testkit.Postgres(t)
	all, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close(context.WithoutCancel(t.Context()))
	name := all.Config().Database // of a role that may do nothing else
	for _, statement := range []string{"create role " + name + " login password 'x'", "grant create on database " + name + " to " + name} {
		if _, err := all.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { dropRole(t, at, name) })
	t.Setenv("RDEV_DATABASE_URL", strings.Replace(at, all.Config().User+":"+all.Config().Password, name+":x", 1))
	i := start(t, t.TempDir())
	i.refuses("", "database of shop: databases are not available on this installation: the role "+name, "projects", "create", "shop", "--database")
	i.refuses("", "there is no project shop", "projects", "get", "shop")
	i.must("projects", "create", "shop")
	i.stop()
}

func dropRole(t *testing.T, at, name string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range []string{"drop owned by " + name + " cascade", "drop role " + name} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Error(err)
		}
	}
}
