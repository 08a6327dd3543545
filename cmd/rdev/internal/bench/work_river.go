package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverConfig is a database for River on the PostgreSQL of rdev.
type riverConfig struct {
	Database string // URL of rdev's
	Workers  int
}

const (
	// riverDatabase is the one that River has of its own.
	riverDatabase = "river"
	// riverConns is how many connections it has: with one for each client it is slower.
	riverConns = 24
)

// riverRun is jobs to insert: a number of them, or so many a second.
type riverRun struct {
	Items, Batch int // Batch is how many an InsertMany has; 1 is Insert
	Rate         float64
	Warm, For    time.Duration
}

// riverResult tells how long it took from the first insert to when all were inserted,
// and to when river_job had all as completed; of a rate how long each took, in
// milliseconds: to be inserted, from before that until a worker had it, and until it
// was stored as completed.
type riverResult struct {
	Accepted, Seconds          float64
	AcceptedP50, AcceptedP99   float64
	WorkingP50, WorkingP99     float64
	CompletedP50, CompletedP99 float64
}

// noop is a job of the usual size.
type noop struct {
	At      time.Time `json:"at"` // before it was inserted
	Padding string    `json:"padding"`
}

func (noop) Kind() string { return "noop" }

func newNoop() noop {
	const rest = 60 // what the names and the time take
	return noop{At: time.Now(), Padding: strings.Repeat("x", payload-rest)}
}

// rival is River, with those who insert in the same process, which spares it a way.
type rival struct {
	river.WorkerDefaults[noop]

	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	worked atomic.Int64

	mu   sync.Mutex
	ages []float64
}

// Work does nothing.
func (r *rival) Work(_ context.Context, job *river.Job[noop]) error {
	age := milliseconds(time.Since(job.Args.At))
	r.mu.Lock()
	r.ages = append(r.ages, age)
	r.mu.Unlock()
	r.worked.Add(1)
	return nil
}

// serveRiver announces the URL where POST / runs a riverRun.
func serveRiver(ctx context.Context, cfg riverConfig, say announce) (err error) {
	r := &rival{}
	if r.pool, err = openRiver(ctx, cfg); err != nil {
		return err
	}
	defer r.pool.Close()
	workers := river.NewWorkers()
	river.AddWorker(workers, r)
	r.client, err = river.NewClient(riverpgxv5.New(r.pool), &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: cfg.Workers}}, Workers: workers, Logger: logger(),
		FetchCooldown: river.FetchCooldownMin, // else so few workers would wait most of the time
	})
	if err != nil {
		return err
	}
	if err := r.client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /", r.serve)
	err = listenAndSay(ctx, mux, say)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, r.client.Stop(stop))
}

// openRiver makes the database with River's schema.
func openRiver(ctx context.Context, cfg riverConfig) (*pgxpool.Pool, error) {
	conn, err := pgx.Connect(ctx, cfg.Database)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "create database "+riverDatabase)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return nil, err
	}
	own, err := url.Parse(cfg.Database)
	if err != nil {
		return nil, err
	}
	own.Path = "/" + riverDatabase
	pooled, err := pgxpool.ParseConfig(own.String())
	if err != nil {
		return nil, err
	}
	pooled.MaxConns = riverConns
	pool, err := pgxpool.NewWithConfig(ctx, pooled)
	if err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: logger()})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("migrate River: %w", err)
	}
	return pool, nil
}

func (r *rival) serve(w http.ResponseWriter, request *http.Request) {
	var run riverRun
	err := json.NewDecoder(request.Body).Decode(&run)
	var found riverResult
	if err == nil && run.Rate > 0 {
		found, err = r.pace(request.Context(), run)
	} else if err == nil {
		found, err = r.drain(request.Context(), run)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(found)
}

// drain has jobs inserted as fast as they can be, and waits until they are completed.
func (r *rival) drain(ctx context.Context, run riverRun) (found riverResult, err error) {
	var last int64
	if err := r.pool.QueryRow(ctx, "select coalesce(max(id), 0) from river_job").Scan(&last); err != nil {
		return found, err
	}
	before := r.worked.Load()
	begin := time.Now()
	err = inParallel(workClients, run.Items/run.Batch, func(int) error { return r.insert(ctx, run.Batch) })
	if err != nil {
		return found, err
	}
	found.Accepted = time.Since(begin).Seconds()
	err = eventually(ctx, 2*time.Minute, time.Millisecond, func() error {
		if worked := r.worked.Load() - before; worked < int64(run.Items) {
			return fmt.Errorf("%d of %d jobs were worked on", worked, run.Items)
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	err = eventually(ctx, time.Minute, 5*time.Millisecond, func() error {
		var rows int
		err := r.pool.QueryRow(ctx, "select count(*) from river_job where state = 'completed' and id > $1", last).Scan(&rows)
		if err == nil && rows != run.Items {
			err = fmt.Errorf("%d of %d jobs are completed", rows, run.Items)
		}
		return err
	})
	found.Seconds = time.Since(begin).Seconds()
	return found, err
}

func (r *rival) insert(ctx context.Context, batch int) error {
	if batch == 1 {
		_, err := r.client.Insert(ctx, newNoop(), nil)
		return err
	}
	all := make([]river.InsertManyParams, batch)
	for i := range all {
		all[i].Args = newNoop()
	}
	_, err := r.client.InsertMany(ctx, all)
	return err
}

// pace has jobs inserted at a rate.
func (r *rival) pace(ctx context.Context, run riverRun) (found riverResult, err error) {
	t := &timer{begin: time.Now().Add(run.Warm), end: time.Now().Add(run.Warm + run.For)}
	events, unsubscribe := r.client.SubscribeConfig(&river.SubscribeConfig{Kinds: []river.EventKind{river.EventKindJobCompleted}, ChanSize: 1 << 16})
	var completed []float64
	var told sync.WaitGroup
	told.Go(func() {
		for event := range events {
			var args noop
			now := time.Now()
			if json.Unmarshal(event.Job.EncodedArgs, &args) == nil && !args.At.Before(t.begin) {
				completed = append(completed, milliseconds(now.Sub(args.At)))
			}
		}
	})
	warm := time.AfterFunc(run.Warm, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ages = nil
	})
	defer warm.Stop()
	t.open(ctx, run.Rate, func(ctx context.Context) error { return r.insert(ctx, 1) })
	err = eventually(ctx, time.Minute, 10*time.Millisecond, func() error {
		var open int
		err := r.pool.QueryRow(ctx, "select count(*) from river_job where state <> 'completed'").Scan(&open)
		if err == nil && open > 0 {
			err = fmt.Errorf("%d jobs are not completed", open)
		}
		return err
	})
	unsubscribe()
	told.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return riverResult{
		AcceptedP50: percentile(t.took, 0.5), AcceptedP99: percentile(t.took, 0.99),
		WorkingP50: percentile(r.ages, 0.5), WorkingP99: percentile(r.ages, 0.99),
		CompletedP50: percentile(completed, 0.5), CompletedP99: percentile(completed, 0.99),
	}, errors.Join(err, t.failed)
}

// askRiver has River at a URL run something.
func askRiver(ctx context.Context, url string, run riverRun) (found riverResult, err error) {
	text, err := json.Marshal(run)
	if err != nil {
		return found, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return found, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return found, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(response.Body)
		return found, fmt.Errorf("ask River: %s: %s", response.Status, reason)
	}
	return found, json.NewDecoder(response.Body).Decode(&found)
}
