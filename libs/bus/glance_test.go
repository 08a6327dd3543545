package bus_test

import (
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestWhatIsKnownCountsOnlyWhereTheGuardProvesIt(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "executor")
	created, err := c.Append(t.Context(), nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	running, err := c.Append(t.Context(), &created, contract.OperationRunning{Attempt: 1, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	complete := func(op contract.Operation) (contract.Change, error) {
		if op.State != contract.Running {
			return nil, nil // nothing to do, as far as this is known
		}
		return contract.OperationCompleted{Attempt: op.Attempt, At: time.Now()}, nil
	}
	asked, err := c.Amend(t.Context(), created, func(contract.Operation) (contract.Change, error) {
		return contract.OperationCancelRequested{}, nil
	})
	if err != nil || asked.State != contract.Running || !asked.CancelRequested || asked.Rev != running.Rev+1 {
		t.Fatalf("amended %+v, want a running operation that is to be cancelled: %v", asked, err)
	}
	// By the first event there is nothing to complete; by the last there is.
	done, err := c.Amend(t.Context(), created, complete)
	if err != nil || done.State != contract.Completed {
		t.Fatalf("amended %+v, want a completed operation: %v", done, err)
	}
	events, err := c.History(t.Context(), contract.EntityOperation, created.ID, 0)
	if err != nil || len(events) != 4 {
		t.Errorf("the log has %d events, want 4: %v", len(events), err)
	}
}

func TestAnUpdateDoesWithoutAGlance(t *testing.T) {
	server := testkit.NATS(t)
	proxy := startProxy(t, server.Addr().String())
	c := testkit.Connect(t, proxy.url(), "executor")
	ctx := within(t)
	created, err := c.Append(ctx, nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	proxy.swallow("Nats-Time-Stamp", 1) // of a message as a direct get answers with it
	running, err := c.Update(ctx, created.ID, func(op contract.Operation) (contract.Change, error) {
		return contract.OperationRunning{Attempt: op.Attempt + 1, At: time.Now()}, nil
	})
	if err != nil || running.State != contract.Running {
		t.Errorf("updated %+v: %v", running, err)
	}
	if proxy.swallowed.Load() != 1 {
		t.Error("the proxy swallowed nothing")
	}
}

func TestAProjectWasReady(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "provisioner")
	if c.ProjectWasReady(t.Context(), "shop") {
		t.Error("a project that is not there was ready")
	}
	for _, change := range []struct {
		eventType string
		ready     bool
	}{{contract.TypeProjectCreated, true}, {contract.TypeProjectDeleting, false}} {
		_, err := c.UpdateProject(t.Context(), "shop", func(*contract.Project) (string, contract.Project, error) {
			return change.eventType, contract.Project{Slug: "shop"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ProjectWasReady(t.Context(), "shop"); got != change.ready {
			t.Errorf("after %s: ready is %t, want %t", change.eventType, got, change.ready)
		}
	}
}
