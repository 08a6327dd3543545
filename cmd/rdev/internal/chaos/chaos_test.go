package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/envutil"
)

// settings of a run, for one that is longer, or the same again.
type settings struct {
	Load time.Duration `env:"RDEV_CHAOS_LOAD" envDefault:"25s"`
	Seed uint64        `env:"RDEV_CHAOS_SEED"` // 0 for a new one
}

// settling is how long all that was accepted may take to end after the load.
const settling = 90 * time.Second

func TestEveryPromiseHoldsOnOneNode(t *testing.T) { testChaos(t, 1) }

func TestEveryPromiseHoldsOnThreeNodes(t *testing.T) { testChaos(t, 3) }

func testChaos(t *testing.T, nodes int) {
	t.Helper()
	settings, err := envutil.Load[settings]()
	if err != nil {
		t.Fatal(err)
	}
	if settings.Seed == 0 {
		settings.Seed = rand.Uint64()
	}
	t.Logf("again with RDEV_CHAOS_SEED=%d", settings.Seed)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("again with RDEV_CHAOS_SEED=%d", settings.Seed)
		}
	})
	const projects, submitters, executors = 3, 2, 3
	w := newWorld(t, nodes, executors)
	workspaces := map[string]string{}
	for i := range projects {
		slug := fmt.Sprintf("project-%d", i)
		workspaces[slug] = w.createProject(t, slug)
	}

	ctx, cancel := context.WithTimeout(t.Context(), settings.Load+settling)
	defer cancel()
	until, stop := context.WithTimeout(ctx, settings.Load)
	defer stop()
	l := newLoad(w)
	n := &nemesis{
		t: t, world: w, load: l, crew: executors, did: map[string]int{},
		random: rand.New(rand.NewPCG(settings.Seed, 0)),
	}
	var wg sync.WaitGroup
	for i := range projects * submitters {
		random := rand.New(rand.NewPCG(settings.Seed, uint64(i+1)))
		project := fmt.Sprintf("project-%d", i%projects)
		wg.Go(func() { l.submit(ctx, until, random, project, fmt.Sprint(i)) })
	}
	wg.Go(func() { n.rage(until) })
	wg.Wait()
	quiet := time.Now()
	if err := l.awaitAll(ctx); err != nil {
		t.Errorf("not all has ended %s after the load: %v", settling, err)
	}
	t.Logf("%d operations; the nemesis did %v; all had ended %s after the load", len(l.jobs), n.did, time.Since(quiet).Round(time.Millisecond))
	check(t, w, l, workspaces)
}
