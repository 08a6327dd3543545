package app_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// world is all that the notifier meets, in memory: the log, the table, and endpoints
// that answer as they are told.
type world struct {
	t *testing.T

	mu         sync.Mutex
	events     []*app.Event
	told       chan struct{} // closed when there are more
	reads      int
	forgotten  uint64 // what the log has up to it is gone
	endpoints  map[string]app.Endpoint
	change     int64
	deliveries map[string][]contract.Delivery // by endpoint, in the order of their first attempt
	again      map[string][]app.Redelivery
	away       error // of the table

	// answer is what an endpoint answers; got is what was delivered to it, by its id.
	answer func(endpoint string, e *app.Event) app.Outcome
	got    map[string][]request
	// at is called at the failpoints of a delivery.
	at func(point string)

	stop func()
}

type request struct {
	id        string
	seq, prev uint64
	status    int
	at        time.Time
}

// inWorld runs a test in a world of its own, with a clock of its own.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, told: make(chan struct{}), endpoints: map[string]app.Endpoint{}, deliveries: map[string][]contract.Delivery{},
			again: map[string][]app.Redelivery{}, got: map[string][]request{}, at: func(string) {},
			answer: func(string, *app.Event) app.Outcome { return app.Outcome{Status: 200} },
		}
		w.start()
		test(t, w)
		w.stop()
	})
}

// start runs a courier; the one before has to be stopped.
func (w *world) start() {
	ctx, cancel := context.WithCancel(w.t.Context())
	c := &app.Courier{
		Endpoints: w, Deliveries: w, Log: w, Sender: w, Logger: slog.New(slog.DiscardHandler),
		Policy: domain.Policy{
			Backoff: domain.Backoff{Base: 5 * time.Second, Max: time.Hour}, GiveUp: 72 * time.Hour, DisableAfter: 120 * time.Hour,
		},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
	w.stop = func() { // twice is once
		cancel()
		<-ended
	}
	synctest.Wait()
}

// hook adds an endpoint for types of events.
func (w *world) hook(id string, types ...string) {
	w.mu.Lock()
	w.change++
	w.endpoints[id] = app.Endpoint{ChangeSeq: w.change, EnabledAt: time.Now(), Secret: "s", Webhook: contract.Webhook{
		ID: id, URL: id, Events: types, Enabled: true, Rev: 1, Health: contract.WebhookHealth{Seq: uint64(len(w.events))},
	}}
	w.mu.Unlock()
	w.settle()
}

// alter changes an endpoint, as the use cases do.
func (w *world) alter(id string, change func(*app.Endpoint)) {
	w.mu.Lock()
	e := w.endpoints[id]
	change(&e)
	w.change++
	e.ChangeSeq = w.change
	w.endpoints[id] = e
	w.mu.Unlock()
	w.settle()
}

// settle waits until changes are taken over and everything that can be done is.
func (w *world) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// happen appends events of a type.
func (w *world) happen(n int, eventType string) {
	w.mu.Lock()
	for range n {
		seq := uint64(len(w.events) + 1)
		w.events = append(w.events, &app.Event{ID: fmt.Sprint("e", seq), Seq: seq, Type: eventType, Time: time.Now()})
	}
	close(w.told)
	w.told = make(chan struct{})
	w.mu.Unlock()
	synctest.Wait()
}

// taken are the sequences that an endpoint answered with 2xx, in order.
func (w *world) taken(id string) (seqs []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.got[id] {
		if r.status == 200 {
			seqs = append(seqs, r.seq)
		}
	}
	return seqs
}

func (w *world) requests(id string) []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got[id])
}

func (w *world) endpoint(id string) app.Endpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endpoints[id]
}

// numbers are from to to.
func numbers(from, to uint64) (all []uint64) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func (w *world) Last(context.Context) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return uint64(len(w.events)), nil
}

func (w *world) Tail(ctx context.Context, after uint64, emit func(*app.Event)) error {
	for {
		w.mu.Lock()
		fresh, told := slices.Clone(w.events[after:]), w.told
		w.mu.Unlock()
		for _, e := range fresh {
			emit(e)
			after = e.Seq
		}
		select {
		case <-told:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *world) Read(_ context.Context, after, upTo uint64) ([]*app.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	return slices.Clone(w.events[max(after, min(w.forgotten, upTo)):upTo]), nil
}

func (w *world) Announce(context.Context, string, contract.Webhook) error { return nil }

func (w *world) Send(ctx context.Context, r app.Request) app.Outcome {
	w.at("before post")
	if ctx.Err() != nil {
		return app.Outcome{Err: ctx.Err()}
	}
	outcome := w.answer(r.URL, r.Event)
	w.mu.Lock()
	w.got[r.URL] = append(w.got[r.URL], request{r.Event.ID, r.Event.Seq, r.PrevSeq, outcome.Status, time.Now()})
	w.mu.Unlock()
	w.at("after post")
	return outcome
}

func (w *world) Record(_ context.Context, results []app.Result) error {
	w.at("before record")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return w.away
	}
	for _, r := range results {
		w.record(r)
	}
	return nil
}

func (w *world) record(r app.Result) {
	e, there := w.endpoints[r.Endpoint]
	if !there {
		return
	}
	all := w.deliveries[r.Endpoint]
	at := slices.IndexFunc(all, func(d contract.Delivery) bool { return d.EventID == r.Event.ID })
	if at < 0 {
		all = append(all, contract.Delivery{EventID: r.Event.ID, Seq: r.Event.Seq, Type: r.Event.Type})
		at = len(all) - 1
	}
	d := &all[at]
	d.Attempts = append(d.Attempts, r.Attempt)
	if r.Status != "" {
		d.Status = r.Status
	}
	w.deliveries[r.Endpoint] = all
	if r.Redelivery {
		w.again[r.Endpoint] = slices.DeleteFunc(w.again[r.Endpoint], func(a app.Redelivery) bool { return a.EventID == r.Event.ID })
		return
	}
	if e.Epoch != r.Epoch {
		return
	}
	h := &e.Webhook.Health
	h.Seq, e.PrevSeq = max(h.Seq, r.Cursor), r.Sent
	h.Failures, h.FailingSince, h.NextAttemptAt = r.Failures, r.FailingSince, r.NextAttemptAt
	if r.Disabled != "" {
		w.change++
		e.ChangeSeq = w.change
		e.Webhook.Enabled, e.Webhook.DisabledReason = false, r.Disabled
	}
	w.endpoints[r.Endpoint] = e
}

func (w *world) Mark(_ context.Context, marks []app.Mark) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range marks {
		if e := w.endpoints[m.Endpoint]; e.Epoch == m.Epoch {
			e.Webhook.Health.Seq = max(e.Webhook.Health.Seq, m.Cursor)
			w.endpoints[m.Endpoint] = e
		}
	}
	return w.away
}

func (w *world) Changed(_ context.Context, after int64, limit int) ([]app.Endpoint, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var changed []app.Endpoint
	for _, e := range w.endpoints {
		if e.ChangeSeq > after {
			e.Again = len(w.again[e.Webhook.ID]) > 0
			changed = append(changed, e)
		}
	}
	slices.SortFunc(changed, func(a, b app.Endpoint) int { return cmp.Compare(a.ChangeSeq, b.ChangeSeq) })
	return changed[:min(limit, len(changed))], w.away
}

func (w *world) Redeliveries(_ context.Context, endpoint string, limit int) ([]app.Redelivery, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wanted := w.again[endpoint]
	return slices.Clone(wanted[:min(limit, len(wanted))]), w.away
}

// What a courier does not ask for.

var errUnasked = errors.New("no courier asks for this")

func (w *world) Add(context.Context, app.Endpoint) error { return errUnasked }
func (w *world) Get(context.Context, string) (app.Endpoint, error) {
	return app.Endpoint{}, errUnasked
}

func (w *world) Update(context.Context, string, string, func(*app.Endpoint) error) (app.Endpoint, error) {
	return app.Endpoint{}, errUnasked
}
func (w *world) Count(context.Context) (int, error) { return 0, errUnasked }
func (w *world) List(context.Context, []string, string, int) ([]app.Endpoint, error) {
	return nil, errUnasked
}
func (w *world) Unannounced(context.Context, int) ([]app.Endpoint, error) { return nil, errUnasked }
func (w *world) Announced(context.Context, string, int) error             { return errUnasked }
func (w *world) ListOf(context.Context, app.DeliveryFilter) ([]contract.Delivery, error) {
	return nil, errUnasked
}
func (w *world) Redeliver(context.Context, app.DeliveryFilter) (int, error) { return 0, errUnasked }
func (w *world) Prune(context.Context, time.Time) (int, error)              { return 0, errUnasked }
