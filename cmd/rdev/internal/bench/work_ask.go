package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// workConfig is a number of pieces of work to ask for, and to wait for.
type workConfig struct {
	URL, Key, Executors, Database string
	Projects                      []string
	Items, Batch, Clients         int  // Batch is how many a request has; 1 is POST /work
	Queue                         bool // ask only, and do not wait until they are done
}

// workResult tells how long it took from the first request to when all was accepted,
// and to when PostgreSQL had all rows, completed.
type workResult struct{ Accepted, Seconds float64 }

// runWork asks for work, and waits until it is done.
func runWork(ctx context.Context, cfg workConfig, say announce) error {
	conn, err := pgx.Connect(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	bodies, err := cfg.bodies()
	if err != nil {
		return err
	}
	client := keepAlive(cfg.Clients)
	if err := sinkRequest(ctx, http.MethodDelete, cfg.Executors, nil); err != nil {
		return err
	}
	begin := time.Now()
	err = inParallel(cfg.Clients, cfg.Items/cfg.Batch, func(n int) error { return cfg.post(ctx, client, bodies[n%len(bodies)]) })
	if err != nil {
		return err
	}
	found := workResult{Accepted: time.Since(begin).Seconds()}
	if !cfg.Queue {
		if err := errors.Join(cfg.awaitCompleted(ctx), cfg.awaitRows(ctx, conn, begin)); err != nil {
			return err
		}
		found.Seconds = time.Since(begin).Seconds()
	}
	return say(found)
}

// bodies are one for each project, or for a batch one.
func (cfg workConfig) bodies() (all [][]byte, err error) {
	var items []json.RawMessage
	for n := range max(cfg.Batch, len(cfg.Projects)) {
		text, err := workBody(cfg.Projects[n%len(cfg.Projects)])
		if err != nil {
			return nil, err
		}
		items, all = append(items, json.RawMessage(text)), append(all, []byte(text))
	}
	if cfg.Batch == 1 {
		return all, nil
	}
	text, err := json.Marshal(map[string]any{"items": items[:cfg.Batch]})
	return [][]byte{text}, err
}

// workBody is a piece of no-op work of the usual size, as POST /work takes it.
func workBody(project string) (string, error) {
	body := map[string]any{"kind": "test", "project": project, "argv": []string{"true"}, "env": map[string]string{"PADDING": ""}}
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	body["env"] = map[string]string{"PADDING": strings.Repeat("x", payload-len(text))}
	text, err = json.Marshal(body)
	return string(text), err
}

// post asks once. That an item of many was refused stands in the answer.
func (cfg workConfig) post(ctx context.Context, client *http.Client, body []byte) error {
	path, want := "/work", http.StatusAccepted
	if cfg.Batch > 1 {
		path, want = "/work/bulk", http.StatusOK
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", cfg.Key)
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if err == nil && (response.StatusCode != want || bytes.Contains(text, []byte(`"error":`))) {
		err = fmt.Errorf("POST %s: %s: %.300s", path, response.Status, text)
	}
	return err
}

// awaitCompleted waits for the executors.
func (cfg workConfig) awaitCompleted(ctx context.Context) error {
	return eventually(ctx, 2*time.Minute, 10*time.Millisecond, func() error {
		var found executorsReport
		if err := sinkRequest(ctx, http.MethodGet, cfg.Executors, &found); err != nil {
			return err
		}
		if found.Completed < cfg.Items {
			return fmt.Errorf("%d of %d pieces of work are completed", found.Completed, cfg.Items)
		}
		return nil
	})
}

// awaitRows waits for the rows of what was accepted since a time.
func (cfg workConfig) awaitRows(ctx context.Context, conn *pgx.Conn, since time.Time) error {
	return eventually(ctx, time.Minute, 5*time.Millisecond, func() error {
		var rows int
		err := conn.QueryRow(ctx, "select count(*) from audit.operations where state = 'completed' and created_at >= $1", since).Scan(&rows)
		if err == nil && rows != cfg.Items {
			err = fmt.Errorf("%d of %d rows are there", rows, cfg.Items)
		}
		return err
	})
}

// inParallel does something so many times, by so many at a time, until it fails.
func inParallel(clients, count int, do func(n int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failures := make([]error, clients)
	for i := range clients {
		wg.Go(func() {
			for failures[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= count {
					return
				}
				failures[i] = do(n)
			}
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}
