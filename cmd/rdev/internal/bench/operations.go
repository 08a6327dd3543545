package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// operationsConfig is a number of no-op commands over projects.
type operationsConfig struct {
	URL, Key, Body, Database string
	Projects                 []string
	Count, Clients           int
}

// operationsResult tells how long all of them took.
type operationsResult struct{ Seconds float64 }

const countEnded = "select count(*) from audit.operations where state in ('completed', 'failed', 'cancelled') and kind = 'command.shell'"

// runOperations posts commands and waits until as many terminal rows are there.
func runOperations(ctx context.Context, cfg operationsConfig, say announce) error {
	conn, err := pgx.Connect(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var before, now int
	if err := conn.QueryRow(ctx, countEnded).Scan(&before); err != nil {
		return err
	}
	client := keepAlive(cfg.Clients)
	begin := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	failures := make([]error, cfg.Clients)
	for i := range cfg.Clients {
		wg.Go(func() {
			for failures[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= cfg.Count {
					return
				}
				url := cfg.URL + "/projects/" + cfg.Projects[n%len(cfg.Projects)] + "/commands"
				failures[i] = loadConfig{URL: url, Key: cfg.Key, Body: cfg.Body}.post(ctx, client)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	// The last few milliseconds of many seconds: asking seldom costs less than it hides.
	err = eventually(ctx, 2*time.Minute, 10*time.Millisecond, func() error {
		if err := conn.QueryRow(ctx, countEnded).Scan(&now); err != nil {
			return err
		}
		if now-before < cfg.Count {
			return fmt.Errorf("%d of %d operations have ended", now-before, cfg.Count)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return say(operationsResult{Seconds: time.Since(begin).Seconds()})
}

// measureOperations: whole operations, from POST to the terminal row.
func measureOperations(ctx context.Context, s settings, r *result) (err error) {
	w, err := newWorld(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	cfg := operationsConfig{URL: w.URL, Key: w.Key, Database: w.Database, Clients: 64}
	if cfg.Body, err = commandBody(); err != nil {
		return err
	}
	for i := range min(32, s.operations) {
		slug := "project-" + strconv.Itoa(i)
		if err := w.project(ctx, slug); err != nil {
			return err
		}
		cfg.Projects = append(cfg.Projects, slug)
	}
	run := func(count int) (found operationsResult, own float64, err error) {
		cfg.Count = count
		return ask[operationsResult](ctx, "operations", cfg)
	}
	if _, _, err := run(len(cfg.Projects)); err != nil { // the first in each project makes directories
		return err
	}
	for range s.reps {
		raw, rawCPU, err := ask[loadResult](ctx, "load", loadConfig{Kind: "exec", Clients: 16, For: s.hold / 2})
		if err != nil {
			return err
		}
		before := w.cpu()
		recording, err := record(ctx, s, r.Metric, w.PID)
		if err != nil {
			return err
		}
		found, own, err := run(s.operations)
		if err := errors.Join(err, recording()); err != nil {
			return err
		}
		each := 10_000 / float64(s.operations)
		r.add("raw fork and exec, 16 at a time", "/s", raw.Rate)
		r.add("raw fork and exec, CPU per 10,000", "s", rawCPU*10_000/float64(raw.Done))
		r.add("rdev", "operations/s", float64(s.operations)/found.Seconds)
		r.add("rdev, CPU per 10,000 operations", "s", (w.cpu()-before)*each)
		r.add("rdev, CPU of the loader per 10,000", "s", own*each)
	}
	r.mark("raw fork and exec / rdev", "times", r.of("raw fork and exec, 16 at a time")/r.of("rdev"), 0)

	count := max(len(cfg.Projects), s.operations/3)
	ours, _ := tree(w.keeper.pid())
	theirs, _ := tree(w.database.pid())
	syncs, err := countSyncs(ctx, w.dir, slices.Concat(ours, theirs), func() error {
		_, _, err := run(count)
		return err
	})
	if errors.Is(err, errNoStrace) {
		r.Notes = append(r.Notes, "fsyncs were not measured: "+err.Error())
		return nil
	}
	r.add("rdev, fsyncs per 10,000 operations", "", syncs*10_000/float64(count))
	return err
}
