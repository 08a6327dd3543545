package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	workBatch = 500 // items of a request, and jobs of an InsertMany
	workRate  = 200 // a second, while ages are measured
)

// measureWork: no-op pieces of work from POST to the terminal row, beside River on the
// same PostgreSQL, and what a queue costs that is long.
func measureWork(ctx context.Context, s settings, r *result) error {
	for _, mode := range []string{durable, fast} {
		if err := measureContest(ctx, s, r, mode); err != nil {
			return err
		}
	}
	single := func(mode string) float64 { return r.of(mode+", rdev, single") / r.of(mode+", River, single") }
	r.markLeast("rdev / River, single, "+durable, "times", single(durable), 1.5)
	r.markLeast("rdev / River, single, "+fast, "times", single(fast), 2.5)
	for _, mode := range []string{durable, fast} {
		r.mark("rdev / River, bulk, "+mode, "times", r.of(mode+", rdev, bulk")/r.of(mode+", River, bulk"), 0)
	}
	for _, p := range []string{"p50", "p99"} {
		r.mark("rdev / River at 200/s, until it runs, "+p, "times", r.of("rdev at 200/s, running, "+p)/r.of("River at 200/s, working, "+p), 0)
	}
	r.Notes = append(r.Notes,
		fmt.Sprintf("%d workers, %d clients, %d items in a bulk, %d bytes an item", workWorkers, workClients, min(workBatch, s.items), payload),
		"durable: NATS syncs always and PostgreSQL commits synchronously; fast: NATS syncs every two minutes, and synchronous_commit is off",
		"rdev is asked over HTTP by another process and keeps three events of an item; who inserts is in River's own process, and in its CPU time",
	)
	return measureGrowth(ctx, s, r)
}

// The modes: what was acknowledged survives a power cut, or not of its last seconds.
const (
	durable = "durable"
	fast    = "fast"
)

// contest is rdev and River, both up at once, that take turns.
type contest struct {
	*queue

	river *process
	url   string // of River
	mode  string
	s     settings
	r     *result
}

func measureContest(ctx context.Context, s settings, r *result, mode string) (err error) {
	c := contest{mode: mode, s: s, r: r}
	if c.queue, err = newQueue(ctx, s, mode == durable); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if c.river, c.url, err = serve[string](ctx, "river", riverConfig{Database: c.Database, Workers: workWorkers}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.river.stop()) }()
	if err := c.take(ctx); err != nil {
		log, _ := os.ReadFile(c.log(contract.ServiceGateway))
		return fmt.Errorf("%w\n%s", err, log[max(0, len(log)-2000):])
	}
	return nil
}

// take has both take turns.
func (c contest) take(ctx context.Context) error {
	// Connections are made, and what else is made but once.
	_, _, err := ask[workResult](ctx, "work", c.work(workWorkers, 1))
	if err != nil {
		return err
	}
	if _, err := askRiver(ctx, c.url, riverRun{Items: workWorkers, Batch: 1}); err != nil {
		return err
	}
	for range c.s.reps {
		for _, kind := range []struct {
			name  string
			batch int
		}{{"single", 1}, {"bulk", min(workBatch, c.s.items)}} {
			if err := c.ours(ctx, kind.name, kind.batch); err != nil {
				return err
			}
			if err := c.theirs(ctx, kind.name, kind.batch); err != nil {
				return err
			}
		}
		if c.mode == durable {
			if err := c.ages(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// ours measures rdev.
func (c contest) ours(ctx context.Context, kind string, batch int) error {
	name := c.mode + ", rdev, " + kind
	before := c.cpu()
	found, own, err := ask[workResult](ctx, "work", c.work(c.s.items, batch))
	if err != nil {
		return err
	}
	c.r.add(name, "items/s", float64(c.s.items)/found.Seconds)
	c.r.add(name+", accepted", "items/s", float64(c.s.items)/found.Accepted)
	after, each, all := c.cpu(), 1000/float64(c.s.items), own
	for _, p := range c.parts {
		all += after[p.name] - before[p.name]
	}
	c.r.add(name+", CPU per 1,000", "s", all*each)
	for _, p := range c.parts {
		c.r.add(name+", of it "+p.name, "s", (after[p.name]-before[p.name])*each)
	}
	c.r.add(name+", of it the clients", "s", own*each)
	return nil
}

// theirs measures River.
func (c contest) theirs(ctx context.Context, kind string, batch int) error {
	name := c.mode + ", River, " + kind
	cpu := func() float64 { return treeCPU(c.river.pid(), c.database.pid()) }
	before := cpu()
	found, err := askRiver(ctx, c.url, riverRun{Items: c.s.items, Batch: batch})
	if err != nil {
		return err
	}
	c.r.add(name, "items/s", float64(c.s.items)/found.Seconds)
	c.r.add(name+", accepted", "items/s", float64(c.s.items)/found.Accepted)
	c.r.add(name+", CPU per 1,000", "s", (cpu()-before)*1000/float64(c.s.items))
	return nil
}

// ages measures how long single items take at a rate that leaves room.
func (c contest) ages(ctx context.Context) error {
	warm, pace := c.s.hold/4, c.s.hold
	body, err := workBody(c.projects()[0])
	if err != nil {
		return err
	}
	load := loadConfig{Kind: "post", URL: c.URL + "/work", Key: c.Key, Body: body, Rate: workRate, For: warm}
	if _, _, err := ask[loadResult](ctx, "load", load); err != nil {
		return err
	}
	if err := c.forget(ctx); err != nil {
		return err
	}
	load.For = pace
	asked, _, err := ask[loadResult](ctx, "load", load)
	if err != nil {
		return err
	}
	if _, err := c.settled(ctx, 0); err != nil {
		return err
	}
	ours, err := c.report(ctx)
	if err != nil {
		return err
	}
	theirs, err := askRiver(ctx, c.url, riverRun{Rate: workRate, Warm: warm, For: pace})
	if err != nil {
		return err
	}
	for _, age := range []struct {
		name  string
		value float64
	}{
		{"rdev at 200/s, accepted, p50", asked.P50},
		{"rdev at 200/s, accepted, p99", asked.P99},
		{"rdev at 200/s, running, p50", ours.RunningP50},
		{"rdev at 200/s, running, p99", ours.RunningP99},
		{"rdev at 200/s, completed, p50", ours.CompletedP50},
		{"rdev at 200/s, completed, p99", ours.CompletedP99},
		{"River at 200/s, accepted, p50", theirs.AcceptedP50},
		{"River at 200/s, accepted, p99", theirs.AcceptedP99},
		{"River at 200/s, working, p50", theirs.WorkingP50},
		{"River at 200/s, working, p99", theirs.WorkingP99},
		{"River at 200/s, completed, p50", theirs.CompletedP50},
		{"River at 200/s, completed, p99", theirs.CompletedP99},
	} {
		c.r.add(age.name, "ms", age.value)
	}
	return nil
}
