package bus_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestNoUpdateOfABudgetIsLostAmongWriters(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	const writers, updates = 4, 50
	var wg sync.WaitGroup
	for range writers {
		c := testkit.Connect(t, server.URL(), contract.ServiceGateway)
		wg.Go(func() {
			for range updates {
				if err := c.UpdateLimit(t.Context(), "key.x", func(now []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(now))
					return strconv.AppendInt(nil, int64(n+1), 10), nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c := testkit.Connect(t, server.URL(), contract.ServiceGateway)
	// It is a bucket as any other: the nats CLI reads it.
	bucket, err := c.JetStream().KeyValue(t.Context(), "RDEV_LIMITS")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), "key.x")
	if err != nil || string(entry.Value()) != strconv.Itoa(writers*updates) {
		t.Errorf("%v, %v", entry, err)
	}
	stream, err := c.JetStream().Stream(t.Context(), contract.StreamLimits)
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.State.Msgs != 1 || info.Config.Storage != jetstream.FileStorage {
		t.Errorf("%d messages, %s: one in memory is gone with its server", info.State.Msgs, info.Config.Storage)
	}
}

func TestAnUpdateOfABudgetDoesNotWaitForNATS(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), contract.ServiceGateway)
	server.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := c.UpdateLimit(ctx, "key.x", func([]byte) ([]byte, error) { return nil, nil })
	if err == nil {
		t.Error("it was stored nowhere")
	}
}
