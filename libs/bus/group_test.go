package bus_test

import (
	"errors"
	"testing"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// grouped are new operations, as many as are stored at once.
func grouped() []contract.Operation {
	var all []contract.Operation
	for range 40 {
		all = append(all, pending("shop").Operation)
	}
	return all
}

func TestManyAreCreatedInTheirOrder(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "gateway")
	for _, test := range []struct {
		name   string
		exists int // place of the one that is there already, -1 for none
	}{
		{"all of them new", -1},
		{"one of them there", 17},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := grouped()
			if test.exists >= 0 {
				if _, err := c.Append(t.Context(), nil, contract.OperationPending{Operation: all[test.exists]}); err != nil {
					t.Fatal(err)
				}
			}
			created, errs := c.CreateAll(t.Context(), all)
			before := uint64(0)
			for i, op := range created {
				if i == test.exists {
					if !errors.Is(errs[i], bus.ErrConflict) {
						t.Errorf("item %d is there already: %v, want ErrConflict", i, errs[i])
					}
					continue
				}
				if errs[i] != nil || op.Seq <= before {
					t.Fatalf("item %d is at %d after %d: %v", i, op.Seq, before, errs[i])
				}
				before = op.Seq
				if loaded, err := c.Load(t.Context(), all[i].ID); err != nil || loaded.Seq != op.Seq || loaded.State != contract.Pending {
					t.Errorf("item %d is at %d and %s, want at %d: %v", i, loaded.Seq, loaded.State, op.Seq, err)
				}
			}
		})
	}
}

func TestAGroupWhoseAcknowledgementIsLostHappensOnce(t *testing.T) {
	server := testkit.NATS(t)
	proxy := startProxy(t, server.Addr().String())
	c := testkit.Connect(t, proxy.url(), "gateway")
	ctx := within(t)

	proxy.swallow(`"batch":`, 1)
	created, errs := c.CreateAll(ctx, grouped())
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if proxy.swallowed.Load() == 0 {
		t.Fatal("the proxy swallowed nothing")
	}
	for i, op := range created {
		if op.Seq != uint64(i+1) {
			t.Errorf("item %d is at %d, want %d", i, op.Seq, i+1)
		}
	}
	if last, err := c.LastEvent(ctx); err != nil || last != uint64(len(created)) {
		t.Errorf("the log has %d events, want %d: %v", last, len(created), err)
	}
}

func TestGroupsOutliveRestartsAndComeOnce(t *testing.T) {
	nodes := testkit.NATSNodes(t, 1, contract.DefaultLease())
	ctx := within(t)
	var created [3][]contract.Operation
	writeThroughRestarts(ctx, t, nodes, len(created), func(i int, c *bus.Conn) error {
		all, errs := c.CreateAll(ctx, grouped())
		err := errors.Join(errs...)
		if err == nil {
			created[i] = append(created[i], all...)
		}
		return err
	})

	c := testkit.Connect(t, nodes.URL(), "test")
	want, places := 0, map[uint64]string{}
	for _, all := range created {
		for _, op := range all {
			want++
			places[op.Seq] = op.ID
		}
	}
	if last, err := c.LastEvent(ctx); err != nil || last != uint64(want) || len(places) != want {
		t.Errorf("the log has %d events, of which %d places are known; want %d: %v", last, len(places), want, err)
	}
	t.Logf("%d events", want)
}
