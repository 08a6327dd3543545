package notifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/notifier"
)

// world is a notifier with its neighbors, which the test plays.
type world struct {
	t    *testing.T
	conn *bus.Conn
	cfg  notifier.Config
	stop func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := stopped(t)
	w.start()
	return w
}

// stopped is a world whose notifier does not run yet.
func stopped(t *testing.T) *world {
	t.Helper()
	server := testkit.NATS(t)
	return &world{t: t, conn: testkit.Connect(t, server.URL(), "gateway"), cfg: notifier.Config{
		NATS: bus.Settings{URL: server.URL()}, DatabaseURL: testkit.Postgres(t), Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		RetryBase: time.Millisecond, RetryMax: time.Millisecond, GiveUp: time.Hour, DisableAfter: time.Hour, Keep: time.Hour,
	}}
}

func (w *world) start() { w.stop = testkit.Serve(w.t, notifier.Run, w.cfg) }

// call asks the notifier, and waits where it is not up yet.
func call[Request, Reply any](w *world, verb string, request Request) (reply Reply, known *contract.Error) {
	w.t.Helper()
	testkit.Eventually(w.t, func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), testkit.Patience)
		defer cancel()
		var err error
		reply, err = bus.Call[Request, Reply](ctx, w.conn, contract.ServiceNotifier, verb, request)
		known = nil
		if errors.As(err, &known) && known.Code != contract.CodeUnavailable {
			return nil
		}
		return err
	})
	return reply, known
}

func (w *world) create(url string, projects ...string) contract.Webhook {
	w.t.Helper()
	hook, known := call[contract.CreateWebhook, contract.Webhook](w, contract.VerbCreateWebhook,
		contract.CreateWebhook{URL: url, Events: []string{"operation.*"}, Projects: projects})
	if known != nil {
		w.t.Fatal(known)
	}
	return hook
}

// happen appends an event to the log.
func (w *world) happen(project string) contract.Operation {
	w.t.Helper()
	op, err := w.conn.Append(w.t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: contract.KindShell, Project: project, Actor: "key:test",
		CreatedAt: time.Now().UTC(), Lane: contract.PodLane(project),
		Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return op
}

func (w *world) deliveries(id string) []contract.Delivery {
	w.t.Helper()
	list, known := call[contract.ListDeliveries, contract.DeliveryList](w, contract.VerbListDeliveries, contract.ListDeliveries{ID: id})
	if known != nil {
		w.t.Fatal(known)
	}
	return list.Deliveries
}

// becomes waits until the newest delivery to an endpoint has a status.
func (w *world) becomes(id string, status contract.DeliveryStatus) contract.Delivery {
	w.t.Helper()
	var newest contract.Delivery
	testkit.Eventually(w.t, func() error {
		all := w.deliveries(id)
		if len(all) == 0 {
			return errors.New("nothing was tried")
		}
		if newest = all[0]; newest.Status != status {
			return fmt.Errorf("the delivery is %s: %+v", newest.Status, newest.Attempts)
		}
		return nil
	})
	return newest
}

// receiver is an endpoint. answer decides about the nth request, from 1.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []*http.Request
	body [][]byte
}

func receive(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, n int)) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // cut off
		}
		r.mu.Lock()
		r.got, r.body = append(r.got, request), append(r.body, body)
		n := len(r.got)
		r.mu.Unlock()
		answer(w, request, n)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

func (r *receiver) await(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if got := r.count(); got < n {
			return fmt.Errorf("%d requests, want %d", got, n)
		}
		return nil
	})
}

func fine(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusNoContent) }

func TestAnEventIsDeliveredWithASignatureThatCanBeVerified(t *testing.T) {
	w := newWorld(t)
	r := receive(t, fine)
	hook := w.create(r.URL + "/hook")
	first, second := w.happen("shop"), w.happen("shop")
	r.await(t, 2)

	verifier, err := standardwebhooks.NewWebhook(hook.Secret)
	if err != nil {
		t.Fatal(err)
	}
	for i, op := range []contract.Operation{first, second} {
		request, body := r.got[i], r.body[i]
		if err := verifier.Verify(body, request.Header); err != nil {
			t.Error(err)
		}
		var sent contract.Operation
		if err := json.Unmarshal(body, &sent); err != nil || sent.ID != op.ID {
			t.Errorf("got the body %s, want operation %s", body, op.ID)
		}
		prev := []uint64{0, first.Seq}[i]
		for name, want := range map[string]string{
			"Rdev-Seq": strconv.FormatUint(op.Seq, 10), "Rdev-Prev-Seq": strconv.FormatUint(prev, 10), "Rdev-Project": "shop",
			"ce-type": "ai.orchard9.rdev.operation.pending.v1", "ce-subject": op.ID, "ce-id": request.Header.Get("webhook-id"),
			"Content-Type": "application/json",
		} {
			if got := request.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
	delivery := w.becomes(hook.ID, contract.DeliveryDelivered)
	if delivery.Seq != second.Seq || delivery.Type != "operation.pending" || len(delivery.Attempts) != 1 ||
		delivery.Attempts[0].StatusCode != http.StatusNoContent || delivery.NextAttemptAt != nil {
		t.Errorf("got %+v", delivery)
	}
}

func TestAReceiverThatFailsIsTriedAgainUntilItWorks(t *testing.T) {
	w := newWorld(t)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	hook := w.create(r.URL)
	w.happen("shop")
	delivery := w.becomes(hook.ID, contract.DeliveryDelivered)
	var statuses []int
	for _, attempt := range delivery.Attempts {
		statuses = append(statuses, attempt.StatusCode)
	}
	if fmt.Sprint(statuses) != "[500 500 200]" {
		t.Errorf("answers %v, want 500 twice and then 200", statuses)
	}
	for _, request := range r.got {
		if id := request.Header.Get("webhook-id"); id != delivery.EventID {
			t.Errorf("webhook-id %s, want %s every time", id, delivery.EventID)
		}
	}
}

func TestAnEventIsGivenUpAfterAWhileAndTheNextOneIsTried(t *testing.T) {
	w := stopped(t)
	w.cfg.GiveUp = time.Second
	w.start()
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
	})
	hook := w.create(r.URL)
	w.happen("shop")
	w.happen("shop")
	testkit.Eventually(t, func() error {
		if all := w.deliveries(hook.ID); len(all) < 2 {
			return fmt.Errorf("%d deliveries, want 2: %+v", len(all), all)
		}
		return nil
	})
	delivery := w.becomes(hook.ID, contract.DeliveryDead)
	if all := w.deliveries(hook.ID); len(all) != 2 || len(all[1].Attempts) < 2 || all[1].Status != contract.DeliveryDead || delivery.NextAttemptAt != nil {
		t.Errorf("got %+v", all)
	}
	for _, request := range r.got {
		if request.URL.Path != "/" {
			t.Errorf("a redirect was followed to %s", request.URL)
		}
	}
}

func TestARestartLosesNothing(t *testing.T) {
	w := stopped(t)
	var up atomic.Bool
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if !up.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	w.start()
	hook := w.create(r.URL)
	want := []uint64{w.happen("shop").Seq}
	r.await(t, 1) // one is planned again
	w.stop()
	want = append(want, w.happen("shop").Seq) // one happens meanwhile
	up.Store(true)
	w.start()
	testkit.Eventually(t, func() error {
		var got []uint64
		for _, d := range w.deliveries(hook.ID) {
			if d.Status == contract.DeliveryDelivered {
				got = append([]uint64{d.Seq}, got...)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("delivered %v, want %v", got, want)
		}
		return nil
	})
}

func TestASlowEndpointDoesNotHoldUpAnother(t *testing.T) {
	w := newWorld(t)
	released := make(chan struct{})
	slow := receive(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	})
	fast := receive(t, fine)
	w.create(slow.URL)
	w.create(fast.URL)
	// More than waits in memory.
	const events = 300
	for range events {
		w.happen("shop")
	}
	fast.await(t, events)
	if n := slow.count(); n > 1 {
		t.Errorf("%d requests at once went to the slow endpoint", n)
	}
	close(released)
	slow.await(t, events)
}

func TestOnlyWhatIsWantedIsDelivered(t *testing.T) {
	w := newWorld(t)
	w.happen("shop") // before there is an endpoint
	r := receive(t, fine)
	gone := w.create(r.URL + "/gone")
	if _, known := call[contract.DeleteWebhook, contract.WebhookDeleted](w, contract.VerbDeleteWebhook, contract.DeleteWebhook{ID: gone.ID}); known != nil {
		t.Fatal(known)
	}
	hook := w.create(r.URL, "shop")
	// Changes are taken over in their order: who knows of the new one knows that the other is gone.
	first := w.happen("shop")
	w.becomes(hook.ID, contract.DeliveryDelivered)
	before := r.count()
	w.happen("blog")
	want := w.happen("shop")
	r.await(t, before+1)
	testkit.Eventually(t, func() error {
		if all := w.deliveries(hook.ID); len(all) != 2 || all[0].Seq != want.Seq || all[1].Seq != first.Seq || r.count() != before+1 {
			return fmt.Errorf("delivered %+v with %d requests, want the events %d and %d", all, r.count()-before, first.Seq, want.Seq)
		}
		return nil
	})
}

func TestEndpointsAreListedWithoutTheirSecrets(t *testing.T) {
	w := newWorld(t)
	first, second := w.create("https://example.com/1"), w.create("https://example.com/2", "shop", "blog", "shop")
	if first.Secret == "" || first.Secret == second.Secret {
		t.Errorf("secrets %q and %q", first.Secret, second.Secret)
	}
	var got []string
	ask := contract.ListWebhooks{Limit: 1}
	for more := true; more; {
		list, known := call[contract.ListWebhooks, contract.WebhookList](w, contract.VerbListWebhooks, ask)
		if known != nil {
			t.Fatal(known)
		}
		for _, hook := range list.Webhooks {
			got = append(got, hook.ID+hook.Secret)
		}
		if more = list.NextCursor != nil; more {
			ask.Cursor = *list.NextCursor
		}
	}
	if fmt.Sprint(got) != fmt.Sprint([]string{second.ID, first.ID}) {
		t.Errorf("listed %v, want the newest first", got)
	}
	for patterns, want := range map[string]int{"shop blog": 1, "*": 1, "s* bl*": 1, "shop": 0, "sho": 0, "%": 0} {
		list, known := call[contract.ListWebhooks, contract.WebhookList](w, contract.VerbListWebhooks, contract.ListWebhooks{Within: strings.Fields(patterns)})
		if known != nil || len(list.Webhooks) != want {
			t.Errorf("within %q there are %d endpoints (%v), want %d: none whose events are also of others", patterns, len(list.Webhooks), known, want)
		}
	}
	hook, known := call[contract.GetWebhook, contract.Webhook](w, contract.VerbGetWebhook, contract.GetWebhook{ID: second.ID})
	if known != nil || hook.Secret != "" || fmt.Sprint(hook.Projects) != "[blog shop]" || !hook.CreatedAt.Equal(second.CreatedAt) {
		t.Errorf("got %+v (%v)", hook, known)
	}
}

func TestWhatCannotBeAnEndpointIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		request contract.CreateWebhook
		code    contract.Code
		fields  string
	}{
		{contract.CreateWebhook{URL: "http://10.0.0.1/", Events: []string{"*"}}, contract.CodeTargetNotAllowed, "[url]"},
		{contract.CreateWebhook{URL: "http://[::1]/", Events: []string{"*"}}, contract.CodeTargetNotAllowed, "[url]"},
		{contract.CreateWebhook{}, contract.CodeInvalidRequest, "[url events]"},
		{
			contract.CreateWebhook{URL: "https://example.com", Events: []string{"*", "pod.started"}, Projects: []string{"../x"}},
			contract.CodeInvalidRequest, "[events[1] projects[0]]",
		},
	} {
		_, known := call[contract.CreateWebhook, contract.Webhook](w, contract.VerbCreateWebhook, c.request)
		if known == nil || known.Code != c.code {
			t.Errorf("%+v: got %v, want %s", c.request, known, c.code)
			continue
		}
		var fields []string
		for _, field := range known.Fields {
			fields = append(fields, field.Field)
		}
		if fmt.Sprint(fields) != c.fields {
			t.Errorf("%+v: wrong are %v, want %s", c.request, fields, c.fields)
		}
	}
	if _, known := call[contract.GetWebhook, contract.Webhook](w, contract.VerbGetWebhook, contract.GetWebhook{ID: "nothing"}); known == nil || known.Code != contract.CodeNotFound {
		t.Errorf("got %v, want NOT_FOUND", known)
	}
}
