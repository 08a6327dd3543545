package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var (
	_ app.Credentials = postgres.Credentials{}
	_ app.DataKeys    = postgres.DataKeys{}
)

// open is a database with a data key, k1.
func open(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := database.Open(t.Context(), testkit.Postgres(t), contract.ServiceProvisioner, migrations.For)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := (postgres.DataKeys{Pool: pool}).Add(t.Context(), app.DataKey{ID: "k1", MasterKey: "m", CreatedAt: time.Now(), Wrapped: []byte("w")}); err != nil {
		t.Fatal(err)
	}
	return pool
}

func sealed(project, name string) app.SealedCredential {
	return app.SealedCredential{
		Credential: contract.Credential{Name: name, Project: project, Projects: []string{}, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()},
		DataKey:    "k1", Nonce: []byte("n"), Ciphertext: []byte("c"),
	}
}

// A put that found its project there must not leave a credential behind a delete
// of the project that has gone by.
func TestForgettingAProjectWaitsForThePutThatIsUnderWay(t *testing.T) {
	pool := open(t)
	credentials := postgres.Credentials{Pool: pool}
	decided, goOn := make(chan struct{}), make(chan struct{})
	put, forgotten := make(chan error, 1), make(chan error, 1)
	go func() {
		put <- credentials.Put(t.Context(), "shop", "TOKEN", func(ctx context.Context, _ *app.SealedCredential) (app.SealedCredential, error) {
			close(decided)
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return sealed("shop", "TOKEN"), nil
		})
	}()
	<-decided
	go func() { forgotten <- credentials.Forget(t.Context(), "shop") }()
	testkit.Eventually(t, func() error {
		var waits bool
		const query = `select exists (select from pg_locks l join pg_database d on d.oid = l.database
			where l.locktype = 'advisory' and not l.granted and d.datname = current_database())`
		if err := pool.QueryRow(t.Context(), query).Scan(&waits); err != nil || !waits {
			return errors.Join(err, errors.New("nobody waits"))
		}
		return nil
	})
	// Another project is not held up.
	if err := credentials.Put(t.Context(), "blog", "TOKEN", func(context.Context, *app.SealedCredential) (app.SealedCredential, error) {
		return sealed("blog", "TOKEN"), nil
	}); err != nil {
		t.Error(err)
	}
	close(goOn)
	if err := errors.Join(<-put, <-forgotten); err != nil {
		t.Fatal(err)
	}
	for project, want := range map[string]int{"shop": 0, "blog": 1} {
		if left, err := credentials.List(t.Context(), project, "", 10); err != nil || len(left) != want {
			t.Errorf("%s has %+v, %v; want %d", project, left, err, want)
		}
	}
}

func TestAPutThatIsRefusedChangesNothing(t *testing.T) {
	credentials := postgres.Credentials{Pool: open(t)}
	no := errors.New("no")
	err := credentials.Put(t.Context(), "shop", "TOKEN", func(_ context.Context, now *app.SealedCredential) (app.SealedCredential, error) {
		if now != nil {
			t.Errorf("there is %+v", now)
		}
		return sealed("shop", "TOKEN"), no
	})
	if !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if err := credentials.Delete(t.Context(), "shop", "TOKEN"); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
