package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func pending(project string) contract.OperationPending {
	return contract.OperationPending{Operation: contract.Operation{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: contract.KindShell, Project: project, Actor: "key:test",
		CreatedAt: time.Now().UTC(), Lane: contract.PodLane(project),
		Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}},
	}}
}

func TestAnOperationIsReadBackAsItWasAppended(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "gateway")

	created, err := c.Append(t.Context(), nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := c.Load(t.Context(), created.ID)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Seq != created.Seq || loaded.State != contract.Pending || loaded.Rev != 1 {
		t.Fatalf("loaded %+v, want what was created: %+v", loaded, created)
	}
	if _, err := c.Load(t.Context(), uuid.NewString()); !errors.Is(err, contract.ErrNotFound) {
		t.Fatalf("load of an unknown id: %v, want ErrNotFound", err)
	}
}

func TestAnEventThatIsTooLargeIsRefusedForGood(t *testing.T) {
	c := testkit.Connect(t, testkit.NATS(t).URL(), "gateway")
	for _, size := range []int{600 << 10, 2 << 20} { // more than the stream takes, and more than the server does
		large := pending("shop")
		large.Operation.Command.Shell.Script = strings.Repeat("x", size)
		if _, err := c.Append(t.Context(), nil, large); !errors.Is(err, contract.ErrTooLarge) {
			t.Errorf("append of %d bytes: %v", size, err)
		}
	}
}

func TestOfManyWritersAtOnceExactlyOneWins(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "gateway")
	for round := range 20 {
		created, err := c.Append(t.Context(), nil, pending("shop"))
		if err != nil {
			t.Fatal(err)
		}
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, err := c.Append(t.Context(), &created, contract.OperationRunning{Attempt: 1, Executor: fmt.Sprint(i), At: time.Now()})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, bus.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d writers won, want 1", round, won.Load())
		}
	}
}

func TestUpdateDecidesAgainWhereAnotherCameFirst(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "executor")
	created, err := c.Append(t.Context(), nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	op, err := c.Update(t.Context(), created.ID, func(op contract.Operation) (contract.Change, error) {
		if asked++; asked == 1 {
			if _, err := c.Append(t.Context(), &op, contract.OperationRunning{Attempt: 1, At: time.Now()}); err != nil {
				t.Fatal(err)
			}
		}
		return contract.OperationFailed{Failure: contract.NewFailure(contract.ClassUser, "no"), At: time.Now()}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if asked != 2 || op.State != contract.Failed || op.Rev != 3 {
		t.Fatalf("asked %d times, got %s at revision %d; want 2, failed, 3", asked, op.State, op.Rev)
	}
	history, err := c.History(t.Context(), contract.EntityOperation, op.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	var folded bus.Fold
	for _, event := range history {
		if _, legal := folded.Add(event); !legal {
			t.Fatalf("event %d, %s, is not legal", event.Seq, event.Type)
		}
	}
	if folded.Operation.State != contract.Failed {
		t.Fatalf("the folded history ends %s, want failed", folded.Operation.State)
	}
}

func TestACommandStaysOnItsLaneUntilItIsSettled(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "executor")
	lane := contract.PodLane("shop")
	if err := c.Offer(t.Context(), lane, contract.RunOperation{Operation: "a", Project: "shop"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Offer(t.Context(), lane, contract.RunOperation{Operation: "b", Project: "shop"}); !errors.Is(err, bus.ErrLaneTaken) {
		t.Fatalf("a second offer: %v, want ErrLaneTaken", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	handled := make(chan string, 2)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Work(ctx, t.Context(), contract.ConsumerExecutor, 2, testkit.Log(t), func(_ context.Context, d bus.Delivery) error {
			handled <- d.Command.Operation
			return nil
		})
	}()
	if got := <-handled; got != "a" {
		t.Fatalf("handled %q, want a", got)
	}
	testkit.Eventually(t, func() error {
		return c.Offer(t.Context(), lane, contract.RunOperation{Operation: "b", Project: "shop"})
	})
	if got := <-handled; got != "b" {
		t.Fatalf("handled %q, want b", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
