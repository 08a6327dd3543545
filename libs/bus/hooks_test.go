package bus_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestEventsAreHandledInOrderAndComeAgainUntilTheyAre(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "notifier")
	var want []string
	for range 3 {
		op, err := c.Append(t.Context(), nil, pending("shop"))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, op.ID)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	var got []string
	failed := false
	err := c.EachEvent(ctx, contract.ConsumerNotifier, testkit.Log(t), func(_ context.Context, e bus.Event) error {
		if len(got) == 1 && !failed {
			failed = true
			return errors.New("not yet")
		}
		got = append(got, e.Key)
		if len(got) == len(want) {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("handled %v, want %v", got, want)
	}
}

func TestADeliveryComesLaterAsOftenAsItIsPutOff(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "notifier")
	header := nats.Header{"ce-id": {"e1"}, "Nats-Expected-Last-Subject-Sequence": {"7"}}
	for range 2 {
		if err := c.DueHook(t.Context(), "hook", "e1", header, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	seen := 0
	err := c.Hooks(ctx, testkit.Log(t), func(h *bus.Hook) {
		seen++
		if h.Endpoint != "hook" || h.EventID != "e1" || h.Header.Get("ce-id") != "e1" || string(h.Data) != "{}" {
			t.Errorf("got %+v", h)
		}
		if seen < 3 {
			if err := h.Later(ctx, time.Now()); err != nil {
				t.Error(err)
			}
			return
		}
		if err := h.Done(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	})
	if err != nil || seen != 3 {
		t.Fatalf("seen %d times (%v), want 3", seen, err)
	}
	empty(t, c)
}

func TestDroppedHooksNeverCome(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "notifier")
	if err := c.DueHook(t.Context(), "hook", "e1", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.DropHooks(t.Context(), "hook"); err != nil {
		t.Fatal(err)
	}
	empty(t, c)
}

func empty(t *testing.T, c *bus.Conn) {
	t.Helper()
	testkit.Eventually(t, func() error {
		stream, err := c.JetStream().Stream(t.Context(), contract.StreamHooks)
		if err != nil {
			return err
		}
		if n := stream.CachedInfo().State.Msgs; n != 0 {
			return fmt.Errorf("%d messages are left", n)
		}
		return nil
	})
}
