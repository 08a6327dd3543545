package database_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestOnlyOneAtATimeWorksUnderALock(t *testing.T) {
	pool, err := database.Open(t.Context(), testkit.Postgres(t), "alone", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working, turns atomic.Int32
	ended := make(chan error, 3)
	for range cap(ended) {
		go func() {
			ended <- database.Alone(ctx, pool, "test", slog.New(slog.DiscardHandler), func(context.Context) error {
				if working.Add(1) > 1 {
					t.Error("two work at once")
				}
				defer working.Add(-1)
				if turns.Add(1) == 5 {
					stop()
				}
				return errors.New("again")
			})
		}()
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestWorkEndsWhenTheConnectionThatHoldsTheLockIsLost(t *testing.T) {
	pool, err := database.Open(t.Context(), testkit.Postgres(t), "alone", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	turns := 0
	err = database.Alone(ctx, pool, "test", slog.New(slog.DiscardHandler), func(ctx context.Context) error {
		if turns++; turns == 2 {
			stop()
			return nil
		}
		const kill = `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()`
		if _, err := pool.Exec(t.Context(), kill); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil || turns != 2 {
		t.Errorf("%v after %d turns, want none after 2", err, turns)
	}
}
