package postgres_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/audit/internal/adapters/postgres"
)

// candidate wants to lead, again and again, and counts how often it did.
type candidate struct {
	leads, terms atomic.Int32
	failed       atomic.Int32
	stop         func()
}

func stand(t *testing.T, view postgres.View, leaders *atomic.Int32) *candidate {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	c := &candidate{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := view.Lead(ctx, func(ctx context.Context) error {
				if leaders.Add(1) > 1 {
					t.Error("two lead at once")
				}
				c.leads.Store(1)
				c.terms.Add(1)
				<-ctx.Done()
				c.leads.Store(0)
				leaders.Add(-1)
				return nil
			})
			if err != nil {
				c.failed.Add(1)
			}
		}
	}()
	c.stop = func() { cancel(); <-done }
	t.Cleanup(c.stop)
	return c
}

func (c *candidate) await(t *testing.T, terms int32) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if c.leads.Load() != 1 || c.terms.Load() < terms {
			return fmt.Errorf("leads %d, in its term %d, want %d", c.leads.Load(), c.terms.Load(), terms)
		}
		return nil
	})
}

func TestOneLeadsAndAnotherTakesOverWhenItGoes(t *testing.T) {
	url := testkit.Postgres(t)
	var leaders atomic.Int32
	first := stand(t, openAt(t, url), &leaders)
	first.await(t, 1)
	second := stand(t, openAt(t, url), &leaders)
	first.stop()
	second.await(t, 1)
	if n := first.terms.Load() + second.terms.Load(); n != 2 {
		t.Errorf("%d terms, want 2", n)
	}
}

func TestWorkStopsWhenTheConnectionWithTheLockIsLost(t *testing.T) {
	view := open(t)
	var leaders atomic.Int32
	only := stand(t, view, &leaders)
	only.await(t, 1)
	const end = `select pg_terminate_backend(pid) from pg_locks
		where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())`
	if _, err := view.Pool.Exec(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	only.await(t, 2)
	if only.failed.Load() == 0 {
		t.Error("the loss of the lock was no error")
	}
}

func TestTheLeaderBeginsAnewWhenTheViewIsEmptied(t *testing.T) {
	url := testkit.Postgres(t)
	view := openAt(t, url)
	var leaders atomic.Int32
	only := stand(t, view, &leaders)
	only.await(t, 1)
	reset(t, openAt(t, url)) // another process does it
	only.await(t, 2)
	if n := only.failed.Load(); n != 0 {
		t.Errorf("%d failures, want none", n)
	}
}
