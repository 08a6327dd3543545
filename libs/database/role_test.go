package database_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
)

func execute(t *testing.T, address string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// login makes a role with no rights of its own, and returns its name and the URL
// with which it connects.
func login(t *testing.T, address string) (role, as string) {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	role = "test_" + strings.ToLower(rand.Text()[:16])
	parsed.User = url.UserPassword(role, rand.Text())
	password, _ := parsed.User.Password()
	execute(t, address, "create role "+role+" login password '"+password+"'")
	t.Cleanup(func() { execute(t, address, "drop owned by "+role, "drop role "+role) })
	return role, parsed.String()
}

func TestARoleThatMayOnlyReadAndWriteOpensWhatIsUpToDate(t *testing.T) {
	t.Parallel()
	address := testkit.Postgres(t)
	role, as := login(t, address)

	_, err := database.Open(t.Context(), as, "audit", twoMigrations())
	if err == nil || !strings.Contains(err.Error(), "create the schema: this role may not do it, let one that may migrate first: ") {
		t.Errorf("no schema: got %v", err)
	}

	if err := database.Migrate(t.Context(), address, "audit", twoMigrations()); err != nil {
		t.Fatal(err)
	}
	_, err = database.Open(t.Context(), as, "audit", twoMigrations())
	if err == nil || !strings.Contains(err.Error(), "use the schema: this role may not do it, let one that may migrate first") {
		t.Errorf("no right to the schema: got %v", err)
	}
	execute(t, address,
		"grant usage on schema audit to "+role,
		"grant select, insert, update, delete, truncate on all tables in schema audit to "+role)
	pool := open(t, as, "audit", twoMigrations())
	if got := value[int](t, pool, `select count(*) from things`); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
	if _, err := pool.Exec(t.Context(), `create table more (id int)`); err == nil {
		t.Fatal("the role of this test may create tables")
	}

	later := twoFiles()
	later["0003_more.sql"] = migration(`create table more (id int);`)
	_, err = database.Open(t.Context(), as, "audit", these(later))
	if err == nil || !strings.Contains(err.Error(), "0003_more.sql: this role may not do it, let one that may migrate first: ") {
		t.Errorf("something to migrate: got %v", err)
	}
	if err := database.Migrate(t.Context(), address, "audit", these(later)); err != nil {
		t.Fatal(err)
	}
	execute(t, address, "grant select, insert, update, delete, truncate on all tables in schema audit to "+role)
	open(t, as, "audit", these(later))
	open(t, as, "audit", twoMigrations()) // of the version before, while it is replaced
}

func TestARoleThatMayNotReadAndWriteAllOfItsSchemaIsToldWhatItLacks(t *testing.T) {
	t.Parallel()
	address := testkit.Postgres(t)
	role, as := login(t, address)
	if err := database.Migrate(t.Context(), address, "audit", twoMigrations()); err != nil {
		t.Fatal(err)
	}
	execute(t, address,
		"grant usage on schema audit to "+role,
		"grant select on all tables in schema audit to "+role,
		"grant insert, delete on audit.things to "+role)
	_, err := database.Open(t.Context(), as, "audit", twoMigrations())
	if want := "the role " + role + " lacks rights"; err == nil || !strings.Contains(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), "): update on audit.things, truncate on audit.things") {
		t.Errorf("got %v", err)
	}
	execute(t, address, "grant update, truncate on audit.things to "+role)
	open(t, as, "audit", twoMigrations())
}
