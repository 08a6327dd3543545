package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// loadConfig is what to do, and how often.
type loadConfig struct {
	Kind    string // post, publish, event, insert, exec
	URL     string
	Key     string // of the API, for post
	Body    string
	Clients int     // closed loop: each asks again when it was answered
	Rate    float64 // open loop: that many a second, whatever the answers; 0 for a closed loop
	Warm    time.Duration
	For     time.Duration
}

// loadResult tells what came of it, after the warm-up.
type loadResult struct {
	Rate     float64 // done a second
	P50, P99 float64 // milliseconds
	Done     int
}

// load does one thing over and over.
func load(ctx context.Context, cfg loadConfig, say announce) error {
	do, closing, err := cfg.target(ctx)
	if err != nil {
		return err
	}
	defer closing()
	t := &timer{begin: time.Now().Add(cfg.Warm), end: time.Now().Add(cfg.Warm + cfg.For)}
	if cfg.Rate > 0 {
		t.open(ctx, cfg.Rate, do)
	} else {
		t.closed(ctx, cfg.Clients, do)
	}
	if t.failed != nil {
		return fmt.Errorf("%s: %w", cfg.Kind, t.failed)
	}
	return say(loadResult{
		Rate: float64(len(t.took)) / cfg.For.Seconds(), P50: percentile(t.took, 0.5), P99: percentile(t.took, 0.99), Done: len(t.took),
	})
}

// timer keeps what each turn took that began and ended within its window.
type timer struct {
	begin, end time.Time
	mu         sync.Mutex
	took       []float64 // milliseconds
	failed     error
}

func (t *timer) turn(ctx context.Context, do func(context.Context) error) bool {
	begin := time.Now()
	err := do(ctx)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed = err
	} else if !begin.Before(t.begin) && !now.After(t.end) {
		t.took = append(t.took, milliseconds(now.Sub(begin)))
	}
	return t.failed == nil && now.Before(t.end)
}

func (t *timer) closed(ctx context.Context, clients int, do func(context.Context) error) {
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for t.turn(ctx, do) {
			}
		})
	}
	wg.Wait()
}

// open begins turns at their time, so that a slow answer delays no other.
func (t *timer) open(ctx context.Context, rate float64, do func(context.Context) error) {
	var wg sync.WaitGroup
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticker.Stop()
	for now := time.Now(); now.Before(t.end) && ctx.Err() == nil; now = <-ticker.C {
		wg.Go(func() { t.turn(ctx, do) })
	}
	wg.Wait()
}

// target connects to what is loaded.
func (cfg loadConfig) target(ctx context.Context) (do func(context.Context) error, closing func(), err error) {
	switch cfg.Kind {
	case "post":
		client := keepAlive(max(cfg.Clients, 64))
		return func(ctx context.Context) error { return cfg.post(ctx, client) }, client.CloseIdleConnections, nil
	case "publish":
		nc, err := nats.Connect(cfg.URL)
		if err != nil {
			return nil, nil, err
		}
		js, err := jetstream.New(nc)
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context) error {
			_, err := js.Publish(ctx, rawSubject, []byte(cfg.Body))
			return err
		}, nc.Close, nil
	case "event":
		nc, err := nats.Connect(cfg.URL)
		if err != nil {
			return nil, nil, err
		}
		js, err := jetstream.New(nc)
		if err != nil {
			return nil, nil, err
		}
		var n atomic.Int64
		return func(ctx context.Context) error {
			m, err := firstEvent(int(n.Add(1)) - 1)
			if err == nil {
				_, err = js.PublishMsg(ctx, m)
			}
			return err
		}, nc.Close, nil
	case "insert":
		pool, err := pgxpool.New(ctx, cfg.URL)
		if err != nil {
			return nil, nil, err
		}
		_, err = pool.Exec(ctx, "create table if not exists raw (id bigserial primary key, body text)")
		return func(ctx context.Context) error {
			_, err := pool.Exec(ctx, "insert into raw (body) values ($1)", cfg.Body)
			return err
		}, pool.Close, err
	case "exec":
		return func(ctx context.Context) error { return exec.CommandContext(ctx, "true").Run() }, func() {}, nil
	}
	return nil, nil, fmt.Errorf("there is no load %q", cfg.Kind)
}

func keepAlive(clients int) *http.Client {
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients, DisableCompression: true},
	}
}

func (cfg loadConfig) post(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.URL, bytes.NewReader([]byte(cfg.Body)))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", cfg.Key)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	err = errors.Join(err, response.Body.Close())
	if err == nil && response.StatusCode != http.StatusAccepted {
		err = errors.New(response.Status)
	}
	return err
}
