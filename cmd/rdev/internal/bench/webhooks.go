package main

import (
	"context"
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
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	shares     = 64   // endpoints that the projects of the log are shared among
	logOf      = 1000 // projects that fill writes of
	hookSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// hooks is a notifier that is started and stopped, with its neighbors.
type hooks struct {
	dir, program               string
	running                    []*process // all but the notifier
	server, database, notifier *process
	natsURL, databaseURL       string
	sinkURL, hostileURL        string
	conn                       *pgx.Conn
	nc                         *nats.Conn
	js                         jetstream.JetStream
	pid                        int // of the notifier
}

func newHooks(ctx context.Context, s settings) (h *hooks, err error) {
	h = &hooks{}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.stop(ctx))
		}
	}()
	if h.program, err = filepath.Abs(filepath.Join(filepath.Dir(s.rdev), "notifier")); err != nil {
		return h, err
	}
	if _, err := os.Stat(h.program); err != nil {
		return h, fmt.Errorf("%w: make build makes it", err)
	}
	if h.dir, err = os.MkdirTemp("", "rdev-bench-"); err != nil {
		return h, err
	}
	add := func(role string, cfg any, where *string) *process {
		if err != nil {
			return nil
		}
		var p *process
		if p, *where, err = serve[string](ctx, role, cfg); err == nil {
			h.running = append(h.running, p)
		}
		return p
	}
	h.server = add("nats", natsConfig{Dir: filepath.Join(h.dir, "nats"), Contract: true}, &h.natsURL)
	add("sink", struct{}{}, &h.sinkURL)
	add("hostile", struct{}{}, &h.hostileURL)
	if err != nil {
		return h, err
	}
	if h.database, h.databaseURL, err = startDatabase(ctx, h.dir); err != nil {
		return h, err
	}
	h.running = append(h.running, h.database)
	migrate := exec.CommandContext(ctx, h.program, "migrate")
	migrate.Env = h.environment()
	if text, err := migrate.CombinedOutput(); err != nil {
		return h, fmt.Errorf("notifier migrate: %w\n%s", err, text)
	}
	if h.conn, err = pgx.Connect(ctx, h.databaseURL); err != nil {
		return h, err
	}
	if h.nc, err = nats.Connect(h.natsURL); err != nil {
		return h, err
	}
	h.js, err = jetstream.New(h.nc)
	return h, err
}

func (h *hooks) environment() []string {
	return []string{"NATS_URL=" + h.natsURL, "NOTIFIER_DATABASE_URL=" + h.databaseURL, "RDEV_WEBHOOK_ALLOW=127.0.0.0/8"}
}

func (h *hooks) stop(ctx context.Context) (err error) {
	err = h.halt()
	if h.conn != nil {
		err = errors.Join(err, h.conn.Close(context.WithoutCancel(ctx)))
	}
	if h.nc != nil {
		h.nc.Close()
	}
	for _, p := range slices.Backward(h.running) {
		err = errors.Join(err, p.stop())
	}
	return errors.Join(err, os.RemoveAll(h.dir))
}

// start starts the notifier, and halt ends it.
func (h *hooks) start(ctx context.Context) error {
	p, who, err := serve[kept](ctx, "keep", keepConfig{Argv: []string{h.program}, Env: h.environment(), Log: filepath.Join(h.dir, "notifier.log")})
	h.notifier, h.pid = p, who.PID
	return err
}

func (h *hooks) halt() (err error) {
	if h.notifier != nil {
		err = h.notifier.stop()
		h.notifier = nil
	}
	return err
}

// endpoint is one to be.
type endpoint struct {
	url   string
	share int // of the projects; -1 for all
}

// shared are endpoints that have every event once between them. The last of them are
// those that are given.
func (h *hooks) shared(last ...string) (all []endpoint) {
	for i := range shares {
		url := h.sinkURL + "/healthy/" + strconv.Itoa(i)
		if n := i - (shares - len(last)); n >= 0 {
			url = last[n]
		}
		all = append(all, endpoint{url: url, share: i})
	}
	return all
}

// become has the table hold these endpoints and no others, nothing sent to them yet
// of what comes after a sequence. The notifier must not run.
func (h *hooks) become(ctx context.Context, after uint64, endpoints []endpoint) error {
	if err := sinkRequest(ctx, http.MethodDelete, h.sinkURL, nil); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(`truncate notifier.endpoints, notifier.deliveries, notifier.redeliveries`)
	for i, e := range endpoints {
		projects := []string{}
		for p := e.share; e.share >= 0 && p < logOf; p += shares {
			projects = append(projects, "project-"+strconv.Itoa(p))
		}
		batch.Queue(`insert into notifier.endpoints (id, url, events, projects, description, secret, created_at, cursor, announced_rev, change_seq)
			values ($1, $2, '{*}', $3, '', $4, now(), $5, 1, $6)`,
			strconv.Itoa(i), e.url, projects, hookSecret, after, i+1)
	}
	batch.Queue(`update notifier.endpoint_changes set seq = $1`, len(endpoints))
	return h.conn.SendBatch(ctx, batch).Close()
}

// came waits until the sink has so many requests to healthy endpoints.
func (h *hooks) came(ctx context.Context, want int) error {
	return eventually(ctx, 2*time.Minute, 25*time.Millisecond, func() error {
		var found sinkReport
		if err := sinkRequest(ctx, http.MethodGet, h.sinkURL+"/report/healthy", &found); err != nil {
			return err
		}
		if found.Count < want {
			return fmt.Errorf("%d of %d deliveries came", found.Count, want)
		}
		return nil
	})
}

// recorded waits until the table has so many deliveries, and no more.
func (h *hooks) recorded(ctx context.Context, want int) error {
	return eventually(ctx, time.Minute, 20*time.Millisecond, func() error {
		var got int
		if err := h.conn.QueryRow(ctx, `select count(*) from notifier.deliveries where status = 'delivered'`).Scan(&got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%d of %d deliveries are recorded", got, want)
		}
		return nil
	})
}

// measureWebhooks: deliveries of a log that waits, of events as they happen, to very
// many endpoints, and beside endpoints that do what none should.
func measureWebhooks(ctx context.Context, s settings, r *result) (err error) {
	h, err := newHooks(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop(ctx)) }()
	begin := time.Now()
	last, _, err := ask[uint64](ctx, "fill", fillConfig{URL: h.natsURL, Operations: s.deliveries / 3})
	if err != nil {
		return err
	}
	r.Notes = append(r.Notes, fmt.Sprintf("the log has %d events of 3 for each operation; filling it took %.0f s", last, time.Since(begin).Seconds()))
	for _, measure := range []func(context.Context, settings, *result, uint64) error{h.measureDrain, h.measureHostile, h.measureArrival, h.measureMany} {
		if err := measure(ctx, s, r, last); err != nil {
			log, _ := os.ReadFile(filepath.Join(h.dir, "notifier.log"))
			return fmt.Errorf("%w\n%s", err, log[max(0, len(log)-2000):])
		}
	}
	return nil
}

// measureDrain: the notifier starts, and a whole log waits for its endpoints.
func (h *hooks) measureDrain(ctx context.Context, s settings, r *result, last uint64) error {
	body := ""
	for range s.reps {
		for _, c := range []struct {
			name      string
			clients   int
			endpoints []endpoint
		}{
			{"64 endpoints", shares, h.shared()},
			{"one endpoint", 1, []endpoint{{h.sinkURL + "/healthy/0", -1}}},
		} {
			if err := h.become(ctx, 0, c.endpoints); err != nil {
				return err
			}
			before := treeCPU(h.database.pid(), h.server.pid())
			begin := time.Now()
			if err := h.start(ctx); err != nil {
				return err
			}
			recording, err := record(ctx, s, r.Metric+"-"+strconv.Itoa(c.clients), h.pid)
			if err != nil {
				return err
			}
			if err := errors.Join(h.came(ctx, int(last)), h.recorded(ctx, int(last)), recording()); err != nil {
				return err
			}
			own, theirs := treeCPU(h.pid), treeCPU(h.database.pid(), h.server.pid())-before
			found, err := askSink(ctx, h.sinkURL, "healthy")
			if err := errors.Join(err, h.halt()); err != nil {
				return err
			}
			body = strings.Repeat("x", int(found.Bytes)/found.Count)
			raw, _, err := ask[loadResult](ctx, "load", loadConfig{
				Kind: "post", URL: h.sinkURL + "/raw/", Body: body, Clients: c.clients, Warm: s.hold / 8, For: s.hold / 2,
			})
			if err != nil {
				return err
			}
			each := 10_000 / float64(last)
			r.add("raw POST to "+c.name, "/s", raw.Rate)
			r.add(c.name, "deliveries/s", float64(last)/found.Last.Sub(found.First).Seconds())
			r.add(c.name+", start to the first request", "ms", milliseconds(found.First.Sub(begin)))
			r.add(c.name+", CPU of the notifier per 10,000", "s", own*each)
			r.add(c.name+", CPU of PostgreSQL and NATS per 10,000", "s", theirs*each)
		}
	}
	r.mark("raw POST / deliveries to 64 endpoints", "times", r.of("raw POST to 64 endpoints")/r.of("64 endpoints"), 2.5)
	r.mark("raw POST / deliveries to one endpoint", "times", r.of("raw POST to one endpoint")/r.of("one endpoint"), 0)
	r.Notes = append(r.Notes, fmt.Sprintf("a body has %d bytes on average", len(body)))
	return nil
}

// besides are the last four of the endpoints: healthy ones, and hostile ones.
func (h *hooks) besides() (healthy, hostile []string) {
	for i, name := range []string{"hang", "drip", "endless", "redirect"} {
		healthy = append(healthy, h.sinkURL+"/other/"+strconv.Itoa(i))
		hostile = append(hostile, h.hostileURL+"/"+name)
	}
	return healthy, hostile
}

// healthyOf is how many of the operations from 0 are of the 60 endpoints before those.
func healthyOf(operations int) (count int) {
	for op := range operations {
		if op%logOf%shares < shares-4 {
			count++
		}
	}
	return count
}

// taking calls measure with each of two names and what belongs to it, in an order
// that alternates.
func (h *hooks) taking(turn int, measure func(name string, last []string) error) error {
	healthy, hostile := h.besides()
	first, second := func() error { return measure("60 beside 4 healthy", healthy) }, func() error { return measure("60 beside 4 hostile", hostile) }
	if turn%2 == 1 {
		first, second = second, first
	}
	if err := first(); err != nil {
		return err
	}
	return second()
}

// measureHostile: what healthy endpoints lose by four others that hang, drip, never
// end and redirect, beside four others that are healthy too.
func (h *hooks) measureHostile(ctx context.Context, s settings, r *result, last uint64) error {
	want := 3 * healthyOf(int(last)/3)
	for turn := range s.reps {
		err := h.taking(turn, func(name string, others []string) error {
			if err := h.become(ctx, 0, h.shared(others...)); err != nil {
				return err
			}
			if err := errors.Join(h.start(ctx), h.came(ctx, want)); err != nil {
				return err
			}
			found, err := askSink(ctx, h.sinkURL, "healthy")
			r.add(name, "deliveries/s", float64(want)/found.Last.Sub(found.First).Seconds())
			return errors.Join(err, h.halt())
		})
		if err != nil {
			return err
		}
	}
	r.mark("throughput that 4 hostile endpoints take from 60 healthy", "%", 100*(1-r.of("60 beside 4 hostile")/r.of("60 beside 4 healthy")), 5)
	return nil
}

// arrivalRate is how many events happen in a second while ages are measured.
const arrivalRate = 100

// measureArrival: from the publish of an event to the request that brings it.
func (h *hooks) measureArrival(ctx context.Context, s settings, r *result, _ uint64) error {
	for turn := range s.reps {
		err := h.taking(turn, func(name string, others []string) error {
			newest, err := h.newest(ctx)
			if err != nil {
				return err
			}
			if err := errors.Join(h.become(ctx, newest, h.shared(others...)), h.start(ctx)); err != nil {
				return err
			}
			if _, err := h.happen(ctx, loadConfig{Rate: arrivalRate, For: s.hold / 2}); err != nil { // makes the connections
				return err
			}
			raw, err := h.happen(ctx, loadConfig{Rate: arrivalRate, For: 2 * s.hold})
			if err != nil {
				return err
			}
			found, err := askSink(ctx, h.sinkURL, "healthy")
			r.add("publish of an event, p50", "ms", raw.P50)
			r.add("publish of an event, p99", "ms", raw.P99)
			r.add(name+", publish to request, p50", "ms", found.P50)
			r.add(name+", publish to request, p99", "ms", found.P99)
			return errors.Join(err, h.halt())
		})
		if err != nil {
			return err
		}
	}
	r.mark("publish to request, p50", "ms", r.of("60 beside 4 healthy, publish to request, p50"), 3)
	r.mark("publish to request, p99", "ms", r.of("60 beside 4 healthy, publish to request, p99"), 15)
	r.mark("what 4 hostile endpoints add to the p99", "ms",
		r.of("60 beside 4 hostile, publish to request, p99")-r.of("60 beside 4 healthy, publish to request, p99"), 10)
	return nil
}

// happen has events happen, and waits until those of healthy endpoints came.
func (h *hooks) happen(ctx context.Context, load loadConfig) (raw loadResult, err error) {
	if err := sinkRequest(ctx, http.MethodDelete, h.sinkURL, nil); err != nil {
		return raw, err
	}
	before, err := h.newest(ctx)
	if err != nil {
		return raw, err
	}
	load.Kind, load.URL = "event", h.natsURL
	if raw, _, err = ask[loadResult](ctx, "load", load); err != nil {
		return raw, err
	}
	after, err := h.newest(ctx)
	if err != nil {
		return raw, err
	}
	return raw, h.came(ctx, healthyOf(int(after-before)))
}

// newest is the sequence of the last event.
func (h *hooks) newest(ctx context.Context) (uint64, error) {
	stream, err := h.js.Stream(ctx, contract.StreamEvents)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.LastSeq, nil
}

// measureMany: memory of the notifier with very many endpoints.
func (h *hooks) measureMany(ctx context.Context, s settings, r *result, _ uint64) error {
	rss := func(name string, endpoints []endpoint) error {
		newest, err := h.newest(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(h.become(ctx, newest, endpoints), h.start(ctx)); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // long after it has read its endpoints
		size, err := memory(h.pid, "VmRSS")
		r.add("RSS with "+name, "MiB", size/(1<<20))
		return err
	}
	if err := errors.Join(rss("no endpoint", nil), h.halt()); err != nil {
		return err
	}
	var many []endpoint
	for i := range s.endpoints {
		many = append(many, endpoint{url: h.sinkURL + "/healthy/" + strconv.Itoa(i), share: -1})
	}
	name := strconv.Itoa(s.endpoints) + " endpoints"
	if err := rss(name, many); err != nil {
		return err
	}
	begin := time.Now()
	m, err := firstEvent(0)
	if err != nil {
		return err
	}
	if _, err := h.js.PublishMsg(ctx, m); err != nil {
		return err
	}
	if err := errors.Join(h.came(ctx, s.endpoints), h.recorded(ctx, s.endpoints)); err != nil {
		return err
	}
	r.add("one event to "+name, "s", time.Since(begin).Seconds())
	size, err := memory(h.pid, "VmHWM")
	r.add("most RSS with "+name+", after an event for all", "MiB", size/(1<<20))
	return errors.Join(err, h.halt())
}
