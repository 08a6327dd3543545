package testkit_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/testkit"
)

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := testkit.Postgres(t), testkit.Postgres(t)
	if first == second {
		t.Fatalf("both databases are %s", first)
	}
	var zone string
	query(t, first, `show timezone`, &zone)
	if zone != "America/St_Johns" {
		t.Errorf("the time zone is %s", zone)
	}
}

func TestADatabaseIsDroppedWithItsTestAlthoughConnectionsAreOpen(t *testing.T) {
	t.Parallel()
	var gone string
	t.Run("the test", func(t *testing.T) {
		address := testkit.Postgres(t)
		query(t, address, `select current_database()`, &gone)
		if _, err := pgx.Connect(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	})
	var count int
	query(t, testkit.Postgres(t), `select count(*) from pg_database where datname = '`+gone+`'`, &count)
	if count != 0 {
		t.Errorf("database %s is still there", gone)
	}
}

func query(t *testing.T, address, statement string, into any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), statement).Scan(into); err != nil {
		t.Fatal(err)
	}
}
