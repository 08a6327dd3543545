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

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// within is a context that ends before the test's patience does.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.Patience)
	t.Cleanup(cancel)
	return ctx
}

func TestAnAppendWhoseAcknowledgementIsLostHappensOnce(t *testing.T) {
	server := testkit.NATS(t)
	direct := testkit.Connect(t, server.URL(), "test")
	proxy := startProxy(t, server.Addr().String())
	c := testkit.Connect(t, proxy.url(), "gateway")
	ctx := within(t)

	// A reply that the proxy swallows looks like one that NATS never sent.
	proxy.swallow(`"stream":"RDEV_EVENTS"`, 3)
	created, err := c.Append(ctx, nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	proxy.swallow(`"stream":"RDEV_EVENTS"`, 1)
	running, err := c.Append(ctx, &created, contract.OperationRunning{Attempt: 1, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if n := proxy.swallowed.Load(); n == 0 {
		t.Fatal("the proxy swallowed nothing")
	}
	events, err := direct.History(ctx, contract.EntityOperation, created.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 2 || events[0].Seq != created.Seq || events[1].Seq != running.Seq {
		t.Errorf("the log has %d events, the last at %d; want those at %d and %d", len(events), events[len(events)-1].Seq, created.Seq, running.Seq)
	}
}

// writeThroughRestarts has some writers write over and over while the server is restarted
// three times.
func writeThroughRestarts(ctx context.Context, t *testing.T, nodes *testkit.Nodes, writers int, write func(writer int, c *bus.Conn) error) {
	t.Helper()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range writers {
		c := testkit.Connect(t, nodes.URL(), "gateway")
		wg.Go(func() {
			for running := true; running; {
				select {
				case <-stop:
					running = false
				default:
				}
				if err := write(i, c); err != nil {
					t.Errorf("write: %v", err)
					return
				}
			}
		})
	}
	for range 3 {
		if err := nodes.Restart(ctx, 0, 200*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if err := nodes.AwaitInSync(ctx); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
}

func TestAcknowledgedAppendsOutliveRestartsAndComeOnce(t *testing.T) {
	nodes := testkit.NATSNodes(t, 1, contract.DefaultLease())
	ctx := within(t)
	var appended [4][]contract.Operation
	writeThroughRestarts(ctx, t, nodes, len(appended), func(i int, c *bus.Conn) error {
		op, err := c.Append(ctx, nil, pending("shop"))
		if err == nil {
			op, err = c.Append(ctx, &op, contract.OperationRunning{Attempt: 1, At: time.Now()})
		}
		if err == nil {
			appended[i] = append(appended[i], op)
		}
		return err
	})

	c := testkit.Connect(t, nodes.URL(), "test")
	want := 0
	for _, ops := range appended {
		for _, op := range ops {
			want += 2
			if loaded, err := c.Load(ctx, op.ID); err != nil || loaded.Seq != op.Seq {
				t.Errorf("operation %s is at %d, want %d: %v", op.ID, loaded.Seq, op.Seq, err)
			}
		}
	}
	if last, err := c.LastEvent(ctx); err != nil || last != uint64(want) {
		t.Errorf("the log has %d events, want %d: %v", last, want, err)
	}
	t.Logf("%d events", want)
}

func TestOfManyWritersOnAClusterExactlyOneWinsWhoeverLeads(t *testing.T) {
	nodes := testkit.NATSNodes(t, 3, contract.DefaultLease())
	ctx := within(t)
	const writers, rounds = 8, 60
	var conns []*bus.Conn
	for range writers {
		conns = append(conns, testkit.Connect(t, nodes.URL(), "executor"))
	}
	op, err := conns[0].Append(ctx, nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		var won, lost atomic.Int32
		var winner atomic.Pointer[contract.Operation]
		var wg sync.WaitGroup
		for i, c := range conns {
			wg.Go(func() {
				next, err := c.Append(ctx, &op, contract.OperationRunning{Attempt: round + 1, Executor: fmt.Sprint(i), At: time.Now()})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(&next)
				case errors.Is(err, bus.ErrConflict):
					lost.Add(1)
				default:
					t.Errorf("round %d, writer %d: %v", round, i, err)
				}
			})
		}
		if round%10 == 5 {
			if err := nodes.MoveLeader(ctx, conns[0].NATS(), contract.StreamEvents); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != writers-1 {
			t.Fatalf("round %d: %d won and %d lost", round, won.Load(), lost.Load())
		}
		op = *winner.Load()
	}
	events, err := conns[0].History(ctx, contract.EntityOperation, op.ID, 0)
	if err != nil || len(events) != rounds+1 {
		t.Fatalf("the log has %d events, want %d: %v", len(events), rounds+1, err)
	}
	var folded bus.Fold
	for _, e := range events {
		if _, legal := folded.Add(e); !legal {
			t.Errorf("event %d, %s, is not legal", e.Seq, e.Type)
		}
	}
}

func TestOutputHasNoGapAcrossARestart(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d servers", servers), func(t *testing.T) {
			nodes := testkit.NATSNodes(t, servers, contract.DefaultLease())
			ctx := within(t)
			c := testkit.Connect(t, nodes.URL(), "executor")
			op, err := c.Append(ctx, nil, pending("shop"))
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.OpenOutput(ctx, op)
			if err != nil {
				t.Fatal(err)
			}
			restarted := make(chan error, 1)
			go func() { restarted <- nodes.Restart(ctx, servers-1, 300*time.Millisecond) }()
			var want strings.Builder
			n := 0
			for done, extra := false, 0; extra < 50; n++ {
				line := fmt.Sprintf("line %d\n", n)
				if err := out.Write(ctx, contract.Chunk{
					Stream: contract.OutputStdout, Offset: int64(want.Len()), Cursor: int64(n + 1), Attempt: 1, Data: []byte(line),
				}); err != nil {
					t.Fatal(err)
				}
				want.WriteString(line)
				select {
				case err := <-restarted:
					if done = true; err != nil {
						t.Fatal(err)
					}
				default:
				}
				if done {
					extra++
				}
			}
			if _, err := c.Append(ctx, &op, contract.OperationCancelled{At: time.Now()}); err != nil {
				t.Fatal(err)
			}
			got := &reading{}
			if err := follow(ctx, c, op.ID, bus.Follow{Idle: time.Minute}, got); err != nil {
				t.Fatal(err)
			}
			if got.text != want.String() || got.gaps > 0 || len(got.seqs) != n {
				t.Errorf("%d bytes in %d chunks with %d gaps, want %d in %d", len(got.text), len(got.seqs), got.gaps, want.Len(), n)
			}
		})
	}
}

func TestAFullLogRefusesAndHealsWhenThereIsRoom(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "gateway")
	ctx := within(t)
	resize := func(bytes int64) {
		t.Helper()
		stream, err := c.JetStream().Stream(ctx, contract.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxBytes = bytes
		if _, err := c.JetStream().UpdateStream(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
	resize(8 << 10)
	var last contract.Operation
	var err error
	for err == nil {
		var op contract.Operation
		if op, err = c.Append(ctx, nil, pending("shop")); err == nil {
			last = op
		}
	}
	if !errors.Is(err, bus.ErrFull) {
		t.Fatalf("append to a full log: %v, want ErrFull", err)
	}
	if _, err := c.Append(ctx, &last, contract.OperationCancelled{At: time.Now()}); !errors.Is(err, bus.ErrFull) {
		t.Errorf("append of a second event: %v, want ErrFull", err)
	}
	if newest, err := c.LastEvent(ctx); err != nil || newest != last.Seq {
		t.Errorf("the log ends at %d, want %d: %v", newest, last.Seq, err)
	}
	resize(1 << 20)
	if _, err := c.Append(ctx, &last, contract.OperationCancelled{At: time.Now()}); err != nil {
		t.Errorf("append once there is room: %v", err)
	}
}

func TestAnIdleProjectionDoesNotBeginAgain(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "audit")
	view := &counting{}
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second) // one wait for an event, the pause after an error, and a bit
	defer cancel()
	if err := bus.RunProjection(ctx, c, contract.ConsumerAudit, 10, testkit.Log(t), view); err != nil {
		t.Fatal(err)
	}
	if n := view.begun.Load(); n != 1 {
		t.Errorf("it began %d times", n)
	}
}

// counting is a projection that counts how often it is begun.
type counting struct{ begun atomic.Int32 }

func (c *counting) Position(context.Context) (uint64, error) {
	c.begun.Add(1)
	return 0, nil
}
func (*counting) Decode(e bus.Event) bus.Event                     { return e }
func (*counting) Apply(context.Context, []bus.Event, uint64) error { return nil }
