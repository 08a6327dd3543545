package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	workWorkers  = 64 // where work is carried out, of rdev and of River
	workClients  = 64 // who ask for it
	workProjects = 8  // whose turn is next is for the gateway to find out
)

// queue is rdev's queue of work as an operator runs it, the gateway and the audit
// service on NATS and PostgreSQL, with a harness instead of executors.
type queue struct {
	dir       string
	running   []*process
	parts     []part
	database  *process
	executors string // URL of the harness

	URL      string // of the API
	Key      string
	Database string // URL
}

// part is a process whose CPU time is told apart.
type part struct {
	name string
	pid  int
}

// newQueue starts one. A durable one syncs before it acknowledges, and one that is fast
// when the servers see fit.
func newQueue(ctx context.Context, s settings, durable bool) (q *queue, err error) {
	q = &queue{}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.stop())
		}
	}()
	if q.dir, err = os.MkdirTemp("", "rdev-bench-"); err != nil {
		return q, err
	}
	server, natsURL, err := serve[string](ctx, "nats", natsConfig{Dir: filepath.Join(q.dir, "nats"), Unsynced: !durable, Contract: true})
	if err != nil {
		return q, err
	}
	q.add("NATS", server, server.pid())
	if q.database, q.Database, err = startDatabase(ctx, q.dir); err != nil {
		return q, err
	}
	q.add("PostgreSQL", q.database, q.database.pid())
	if !durable {
		if err := q.hurry(ctx); err != nil {
			return q, err
		}
	}
	pepper := filepath.Join(q.dir, "pepper")
	if err := os.WriteFile(pepper, []byte(strings.Repeat("pepper", 8)), 0o600); err != nil {
		return q, err
	}
	environment := []string{
		"NATS_URL=" + natsURL, "GATEWAY_DATABASE_URL=" + q.Database, "AUDIT_DATABASE_URL=" + q.Database, "GATEWAY_KEY_PEPPER_FILE=" + pepper, "RDEV_ADDR=127.0.0.1:0",
		"GATEWAY_KEY_RATE=0", "GATEWAY_PROJECT_RATE=0", "GATEWAY_RATE=0", "GATEWAY_QUEUE_DEPTH=0", "GATEWAY_PROJECT_QUEUE_DEPTH=0",
	}
	for _, service := range []string{contract.ServiceGateway, contract.ServiceAudit} {
		if err := q.startService(ctx, s, service, environment); err != nil {
			return q, err
		}
	}
	harness, executors, err := serve[string](ctx, "executors", executorsConfig{NATS: natsURL, Workers: workWorkers, Projects: q.projects()})
	if err != nil {
		return q, err
	}
	q.add("executors", harness, harness.pid())
	q.executors = executors
	return q, q.awaitReady(ctx)
}

func (q *queue) add(name string, p *process, pid int) {
	q.running, q.parts = append(q.running, p), append(q.parts, part{name, pid})
}

// hurry has PostgreSQL acknowledge commits that are not on the disk yet.
func (q *queue) hurry(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, q.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range []string{`alter system set synchronous_commit = off`, `select pg_reload_conf()`} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// startService starts a service once its schema is there, and before the gateway makes
// the first key.
func (q *queue) startService(ctx context.Context, s settings, service string, environment []string) error {
	program, err := filepath.Abs(filepath.Join(filepath.Dir(s.rdev), service))
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%w: make build makes it", err)
	}
	run := func(name string) (string, error) {
		var log bytes.Buffer
		command := exec.CommandContext(ctx, program, name)
		command.Env, command.Stderr = environment, &log
		text, err := command.Output()
		if err != nil {
			return "", fmt.Errorf("%s %s: %w\n%s", service, name, err, &log)
		}
		return strings.TrimSpace(string(text)), nil
	}
	if _, err := run("migrate"); err != nil {
		return err
	}
	if service == contract.ServiceGateway {
		if q.Key, err = run("bootstrap"); err != nil {
			return err
		}
	}
	keeper, who, err := serve[kept](ctx, "keep", keepConfig{Argv: []string{program}, Env: environment, Log: q.log(service)})
	if err != nil {
		return err
	}
	q.add(service, keeper, who.PID)
	return nil
}

func (q *queue) log(service string) string { return filepath.Join(q.dir, service+".log") }

// awaitReady waits until the gateway says where it serves, and that it takes requests.
func (q *queue) awaitReady(ctx context.Context) error {
	err := eventually(ctx, time.Minute, 10*time.Millisecond, func() error {
		text, err := os.ReadFile(q.log(contract.ServiceGateway))
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			var told struct{ Msg, Address string }
			if json.Unmarshal(line, &told) == nil && told.Msg == "serving" {
				q.URL = "http://" + told.Address
			}
		}
		if q.URL == "" {
			return errors.New("the gateway does not serve yet")
		}
		return q.ask(ctx, http.MethodGet, "/ready", nil)
	})
	if err != nil {
		text, _ := os.ReadFile(q.log(contract.ServiceGateway))
		return fmt.Errorf("the gateway is not ready: %w\n%s", err, text)
	}
	return nil
}

// ask sends a request to the API that has no body, and decodes what it is answered
// where that is wanted.
func (q *queue) ask(ctx context.Context, method, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, q.URL+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", q.Key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func (q *queue) stop() (err error) {
	for _, p := range slices.Backward(q.running) {
		err = errors.Join(err, p.stop())
	}
	return errors.Join(err, os.RemoveAll(q.dir))
}

func (q *queue) projects() (all []string) {
	for i := range workProjects {
		all = append(all, "project-"+strconv.Itoa(i))
	}
	return all
}

// cpu is the CPU seconds that each part has taken.
func (q *queue) cpu() map[string]float64 {
	all := map[string]float64{}
	for _, p := range q.parts {
		all[p.name] = treeCPU(p.pid)
	}
	return all
}

// completed is how many items the executors completed since they were told to forget.
func (q *queue) completed(ctx context.Context) (int, error) {
	var found executorsReport
	err := sinkRequest(ctx, http.MethodGet, q.executors, &found)
	return found.Completed, err
}

// report tells how long those took, too.
func (q *queue) report(ctx context.Context) (found executorsReport, err error) {
	err = sinkRequest(ctx, http.MethodGet, q.executors+"?ages", &found)
	return found, err
}

func (q *queue) forget(ctx context.Context) error {
	return sinkRequest(ctx, http.MethodDelete, q.executors, nil)
}

// workers has all workers take work, or no more of it.
func (q *queue) workers(ctx context.Context, to string) error {
	for n := range workWorkers {
		if err := q.ask(ctx, http.MethodPost, "/workers/"+workerName(n)+"/"+to, nil); err != nil {
			return err
		}
	}
	return nil
}

// work is what to ask of the queue.
func (q *queue) work(items, batch int) workConfig {
	return workConfig{
		URL: q.URL, Key: q.Key, Executors: q.executors, Database: q.Database, Projects: q.projects(),
		Items: items, Batch: batch, Clients: workClients,
	}
}
