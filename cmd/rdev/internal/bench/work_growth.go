package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// growthItems is how many pieces of work wait where few do.
const growthItems = 1000

// measureGrowth: what a piece of work costs where few wait, beside where very many do.
// Two installations take turns, so that the long queue is filled but once.
func measureGrowth(ctx context.Context, s settings, r *result) (err error) {
	var queues []*queue
	defer func() {
		for _, q := range queues {
			err = errors.Join(err, q.stop())
		}
	}()
	few := min(growthItems, s.items)
	waiting := []int{few, few + s.backlog}
	for range waiting {
		q, err := newQueue(ctx, s, false)
		if err != nil {
			return err
		}
		queues = append(queues, q)
		if err := q.workers(ctx, "drain"); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := queues[1].fill(ctx, s.backlog); err != nil {
		return err
	}
	r.add("queued in bulk, fast", "items/s", float64(s.backlog)/time.Since(begin).Seconds())
	spent := make([]map[string]float64, len(queues))
	done := make([]int, len(queues))
	for turn := range 1 + 6*s.reps*few/growthItems {
		for i := range queues {
			which := (turn + i) % len(queues)
			if turn <= 1 { // the first makes what is made but once
				spent[which], done[which] = map[string]float64{}, 0
			}
			cpu, count, err := queues[which].drain(ctx, waiting[which], few)
			if err != nil {
				return err
			}
			done[which] += count
			for part, seconds := range cpu {
				spent[which][part] += seconds
			}
		}
	}
	// All turns together: one may have a garbage collection in it, and the next none.
	const core = "gateway and NATS"
	for which, of := range spent {
		of[core] = of["gateway"] + of["NATS"]
		for _, part := range []string{core, "gateway", "NATS", "audit", "PostgreSQL"} {
			of[part] *= 1000 / float64(done[which])
			r.add(strconv.Itoa(waiting[which])+" waiting, CPU of "+part+" per 1,000", "s", of[part])
		}
	}
	r.mark(fmt.Sprintf("growth of %s, %d waiting / %d", core, waiting[1], waiting[0]), "times", spent[1][core]/spent[0][core], 1.1)
	return nil
}

// fill queues pieces of work, a hundred in a request as far as that goes.
func (q *queue) fill(ctx context.Context, items int) error {
	for _, batch := range []int{100, 1} {
		cfg := q.work(items/batch*batch, batch)
		cfg.Queue = true
		if _, _, err := ask[workResult](ctx, "work", cfg); err != nil {
			return err
		}
		items %= batch
	}
	return nil
}

// drain makes so many wait while no worker takes any, and has few of them done, but for
// twice as many as there are workers, so that all are busy to the end. It tells the CPU
// seconds that this took, by parts, and how many were done.
func (q *queue) drain(ctx context.Context, waiting, few int) (cpu map[string]float64, done int, err error) {
	there, err := q.settled(ctx, 0)
	if err != nil {
		return nil, 0, err
	}
	if err := q.fill(ctx, waiting-there); err != nil {
		return nil, 0, err
	}
	if _, err := q.settled(ctx, waiting); err != nil {
		return nil, 0, err
	}
	if err := q.forget(ctx); err != nil {
		return nil, 0, err
	}
	before := q.cpu()
	if err := q.workers(ctx, "resume"); err != nil {
		return nil, 0, err
	}
	err = eventually(ctx, time.Minute, 5*time.Millisecond, func() (err error) {
		done, err = q.completed(ctx)
		if err == nil && done < few-2*workWorkers {
			err = fmt.Errorf("%d of %d pieces of work are completed", done, few-2*workWorkers)
		}
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	cpu = q.cpu()
	for part := range cpu {
		cpu[part] -= before[part]
	}
	return cpu, done, q.workers(ctx, "drain")
}

// settled waits until nothing runs, and the gateway and the tables agree on how much
// waits, which is that many at least.
func (q *queue) settled(ctx context.Context, least int) (waiting int, err error) {
	conn, err := pgx.Connect(ctx, q.Database)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	err = eventually(ctx, time.Minute, 50*time.Millisecond, func() error {
		var stats struct{ Queued, Running int }
		if err := q.ask(ctx, http.MethodGet, "/work/stats", &stats); err != nil {
			return err
		}
		var running int
		err := conn.QueryRow(ctx, `select count(*) filter (where state = 'pending'), count(*) filter (where state = 'running')
			from audit.operations where state in ('pending', 'running')`).Scan(&waiting, &running)
		if err == nil && (stats.Running+running > 0 || stats.Queued != waiting || waiting < least) {
			err = fmt.Errorf("%d wait and %d run by the gateway, %d and %d by the tables", stats.Queued, stats.Running, waiting, running)
		}
		return err
	})
	return waiting, err
}
