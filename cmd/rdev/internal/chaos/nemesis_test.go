package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/testkit"
)

// nemesis does to a world what may happen to it.
type nemesis struct {
	t      *testing.T
	world  *world
	load   *load
	random *rand.Rand
	crew   int // executors that there are to be
	frozen sync.WaitGroup
	did    map[string]int
}

// rage goes on until ctx is done, and returns when all is well again.
func (n *nemesis) rage(ctx context.Context) {
	deeds := []struct {
		name string
		do   func(context.Context) error
	}{
		{"kill", n.kill}, {"freeze", n.freeze}, {"restart", n.restart}, {"cancel", n.cancel}, {"kill", n.kill}, {"cancel", n.cancel},
	}
	for ctx.Err() == nil {
		n.random.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
		for _, deed := range deeds {
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(300+n.random.IntN(1200)) * time.Millisecond):
				n.did[deed.name]++
				if err := deed.do(context.WithoutCancel(ctx)); err != nil {
					n.t.Errorf("%s: %v", deed.name, err)
				}
			}
		}
	}
	n.frozen.Wait()
	n.replace()
}

func (n *nemesis) replace() {
	ended, err := n.world.crew.replace(n.crew)
	if err != nil {
		n.t.Error(err)
	}
	n.did["replaced"] += ended
}

func (n *nemesis) kill(ctx context.Context) error {
	if victim := n.world.crew.one(n.random, n.load.executors(ctx)); victim != nil {
		if err := n.world.crew.kill(victim); err != nil {
			return err
		}
	}
	n.replace()
	return nil
}

// freeze stops an executor for longer than its commands stay with it; nobody
// waits for it to come back.
func (n *nemesis) freeze(ctx context.Context) error {
	victim := n.world.crew.one(n.random, n.load.executors(ctx))
	if victim == nil {
		return nil
	}
	d := lease().AckWait + time.Duration(n.random.IntN(2000))*time.Millisecond
	n.frozen.Go(func() {
		if err := n.world.crew.freeze(victim, d); err != nil {
			n.t.Error(err)
		}
	})
	return nil
}

// restart stops one of the NATS servers and starts it again.
func (n *nemesis) restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*testkit.Patience)
	defer cancel()
	i := n.random.IntN(n.world.nodes.Len())
	down := time.Duration(100+n.random.IntN(1400)) * time.Millisecond
	if err := n.world.nodes.Restart(ctx, i, down); err != nil {
		return err
	}
	if err := n.world.nodes.AwaitInSync(ctx); err != nil {
		return fmt.Errorf("node %d: %w", i, err)
	}
	return nil
}

func (n *nemesis) cancel(ctx context.Context) error {
	n.load.cancelAny(ctx, n.random)
	return nil
}
