package bus_test

import (
	"context"
	"testing"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestARequestIsAnsweredInTheNameOfWhoAsked(t *testing.T) {
	server := testkit.NATS(t)
	requests, err := testkit.Connect(t, server.URL(), "answerer").Serve(testkit.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Answer(requests, "whoami", func(ctx context.Context, _ struct{}) (string, error) {
		return bus.ActorOf(ctx), nil
	}); err != nil {
		t.Fatal(err)
	}
	c := testkit.Connect(t, server.URL(), "asker")
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for want, ctx := range map[string]context.Context{"key:ci": bus.WithActor(ctx, "key:ci"), "service:asker": ctx} {
		testkit.Eventually(t, func() error { // the server has to know of the subscription first
			got, err := bus.Call[struct{}, string](ctx, c, "answerer", "whoami", struct{}{})
			if err == nil && got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
			return err
		})
	}
}
