package notifier_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func decode(body []byte, v any) error { return json.Unmarshal(body, v) }

// kinds are the types of the events that came.
func (r *receiver) kinds() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, request := range r.got {
		all = append(all, request.Header.Get("ce-type"))
	}
	return all
}

// sent has an event happen, waits until it comes, and returns the request and its body.
func (w *world) sent(r *receiver) (request *http.Request, body []byte) {
	w.t.Helper()
	seq := w.happen("shop").Seq
	testkit.Eventually(w.t, func() error {
		if request, body = r.first(seq); request == nil {
			return fmt.Errorf("event %d did not come", seq)
		}
		return nil
	})
	return request, body
}

func TestTwoSecretsSignWhileTheyOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, fine)
	hook := w.create(r.URL)
	rotate := func(overlap time.Duration) contract.Webhook {
		t.Helper()
		hook, known := call[contract.RotateWebhook, contract.Webhook](w, contract.VerbRotateWebhook, contract.RotateWebhook{ID: hook.ID, Overlap: contract.Duration(overlap)})
		if known != nil {
			t.Fatal(known)
		}
		return hook
	}
	// signedBy waits until events are signed with these secrets and no others.
	signedBy := func(secrets ...string) {
		t.Helper()
		testkit.Eventually(t, func() error {
			request, body := w.sent(r)
			signatures := strings.Fields(request.Header.Get(standardwebhooks.HeaderWebhookSignature))
			if len(signatures) != len(secrets) {
				return fmt.Errorf("%d signatures, want %d", len(signatures), len(secrets))
			}
			for i, secret := range secrets {
				verifier, err := standardwebhooks.NewWebhook(secret)
				if err != nil {
					return err
				}
				header := request.Header.Clone()
				header.Set(standardwebhooks.HeaderWebhookSignature, signatures[i])
				if err := verifier.Verify(body, header); err != nil {
					return fmt.Errorf("signature %d: %w", i, err)
				}
			}
			return nil
		})
	}
	signedBy(hook.Secret)
	second := rotate(time.Hour)
	if second.Secret == "" || second.Secret == hook.Secret || second.OldSecretUntil == nil {
		t.Fatalf("rotated it is %+v", second)
	}
	signedBy(second.Secret, hook.Secret)
	third := rotate(time.Millisecond)
	signedBy(third.Secret)
	signedBy(rotate(0).Secret)
}

func TestAPausedEndpointGetsLaterWhatItMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, other := receive(t, fine), receive(t, fine)
	hook := w.create(r.URL)
	w.sent(r)
	off, on := false, true
	update := func(enabled *bool) {
		t.Helper()
		if _, known := call[contract.UpdateWebhook, contract.Webhook](w, contract.VerbUpdateWebhook, contract.UpdateWebhook{ID: hook.ID, Enabled: enabled}); known != nil {
			t.Fatal(known)
		}
	}
	update(&off)
	w.create(other.URL)
	w.sent(other) // changes are seen in order: the pause was
	before := r.count()
	var want []uint64
	for range 300 { // more than waits in memory
		want = append(want, w.happen("shop").Seq)
	}
	other.await(t, len(want))
	if r.count() != before {
		t.Errorf("%d requests came although it is paused", r.count()-before)
	}
	update(&on)
	enabled := time.Now()
	testkit.Eventually(t, func() error {
		if got := r.seqs(t); len(got) < len(want) || !slices.Equal(got[len(got)-len(want):], want) {
			return fmt.Errorf("got %v, want %v at the end", got, want)
		}
		return nil
	})
	if d := w.becomes(hook.ID, contract.DeliveryDelivered); d.Attempts[0].At.Before(enabled.Add(-time.Second)) {
		t.Errorf("it was sent at %s, before it was enabled", d.Attempts[0].At)
	}
}

func TestAnEndpointGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, fine)
	hook := w.create(r.URL)
	var want []uint64
	for range 10 {
		want = append(want, w.happen("shop").Seq)
	}
	testkit.Eventually(t, func() error { return w.delivered(hook.ID, want) })
	redeliver := func(request contract.Redeliver) (contract.Redelivering, *contract.Error) {
		request.ID = hook.ID
		return call[contract.Redeliver, contract.Redelivering](w, contract.VerbRedeliver, request)
	}
	if answer, known := redeliver(contract.Redeliver{FromSeq: want[4]}); known != nil || answer.FromSeq != want[4] || answer.Deliveries != 0 {
		t.Errorf("got %+v (%v)", answer, known)
	}
	r.await(t, 16)
	r.mu.Lock()
	for i, request := range r.got[10:] {
		before, prev := r.got[4+i], strconv.FormatUint(want[4+i-min(i, 1)], 10)
		if i == 0 {
			prev = "0" // it may have missed what came before
		}
		if request.Header.Get("webhook-id") != before.Header.Get("webhook-id") || request.Header.Get(contract.HeaderPrevSeq) != prev || string(r.body[10+i]) != string(r.body[4+i]) {
			t.Errorf("request %d is another than it was: %v", i, request.Header)
		}
	}
	r.mu.Unlock()
	testkit.Eventually(t, func() error {
		if all := w.deliveries(hook.ID); len(all) != 10 || len(all[0].Attempts) != 2 || len(all[9].Attempts) != 1 {
			return fmt.Errorf("%d deliveries: %+v", len(all), all)
		}
		return nil
	})
	for _, request := range []contract.Redeliver{{}, {FromSeq: want[9] + 100}, {FromSeq: 5, ToSeq: 4}, {Status: "lost"}} {
		if _, known := redeliver(request); known == nil || known.Code != contract.CodeInvalidRequest {
			t.Errorf("%+v: got %v, want INVALID_REQUEST", request, known)
		}
	}
	if _, known := redeliver(contract.Redeliver{Delivery: "nothing"}); known == nil || known.Code != contract.CodeNotFound {
		t.Errorf("got %v, want NOT_FOUND", known)
	}
}

func TestDeadLettersAreDeliveredAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var works atomic.Bool
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if !works.Load() {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	})
	hook := w.create(r.URL)
	const letters = 200 // more than are read at a time
	var want []uint64
	for range letters {
		want = append(want, w.happen("shop").Seq)
	}
	w.becomes(hook.ID, contract.DeliveryDead)
	r.await(t, letters)
	works.Store(true)
	request := contract.Redeliver{ID: hook.ID, Status: contract.DeliveryDead}
	testkit.Eventually(t, func() error { // until all of them are recorded
		if _, known := call[contract.Redeliver, contract.Redelivering](w, contract.VerbRedeliver, request); known != nil {
			return known
		}
		return w.delivered(hook.ID, want)
	})
	if all := w.deliveries(hook.ID); len(all[0].Attempts) < 2 || all[0].Attempts[0].StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("attempts %+v", all[0].Attempts)
	}
	if got := r.seqs(t); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestAnEventThatTwoFiltersWantComesOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, fine)
	w.add(contract.CreateWebhook{URL: r.URL, Events: []string{"*", "operation.*", "operation.pending"}, Projects: []string{"shop"}})
	var want []uint64
	for range 20 {
		want = append(want, w.happen("shop").Seq)
		r.await(t, len(want)) // each as it happens
	}
	w.sent(r)
	if n := r.count(); n != len(want)+1 {
		t.Errorf("%d requests brought %d events", n, len(want)+1)
	}
}

func TestAnEndpointIsMadeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const id = "0193f2a4-7c1e-7d3a-9a44-5f0c2b7e8d12"
	request := contract.CreateWebhook{ID: id, Name: "ci", URL: "https://example.com/", Events: []string{"*"}, Headers: map[string]string{"X-Token": "s3cret"}}
	first := w.add(request)
	if again := w.add(request); first.Secret == "" || again.Secret != "" || again.ID != id || !again.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("first %+v, then %+v", first, again)
	}
	create := func(change func(*contract.CreateWebhook)) *contract.Error {
		other := request
		change(&other)
		_, known := call[contract.CreateWebhook, contract.Webhook](w, contract.VerbCreateWebhook, other)
		return known
	}
	for name, change := range map[string]func(*contract.CreateWebhook){
		"name":    func(c *contract.CreateWebhook) { c.Name = "cd" },
		"url":     func(c *contract.CreateWebhook) { c.URL = "https://example.com/2" },
		"headers": func(c *contract.CreateWebhook) { c.Headers = map[string]string{"X-Token": "other"} },
	} {
		if known := create(change); known == nil || known.Code != contract.CodeIdempotencyMismatch {
			t.Errorf("with another %s: got %v, want IDEMPOTENCY_MISMATCH", name, known)
		}
	}
	for _, other := range []string{"", "0193f2a4-7c1e-7d3a-9a44-5f0c2b7e8d13"} {
		if known := create(func(c *contract.CreateWebhook) { c.ID = other }); known == nil || known.Code != contract.CodeConflict || len(known.Fields) != 1 || known.Fields[0].Field != "name" {
			t.Errorf("with id %q and the same name: got %v, want CONFLICT", other, known)
		}
	}
}

func TestCustomHeadersAreSentAndNeverTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, fine)
	hook := w.add(contract.CreateWebhook{URL: r.URL, Events: []string{"operation.*"}, Headers: map[string]string{"Authorization": "Bearer s3cret", "X-Team": "blue"}})
	if request, _ := w.sent(r); request.Header.Get("Authorization") != "Bearer s3cret" || request.Header.Get("X-Team") != "blue" {
		t.Errorf("sent %v", request.Header)
	}
	updated, known := call[contract.UpdateWebhook, contract.Webhook](w, contract.VerbUpdateWebhook,
		contract.UpdateWebhook{ID: hook.ID, Headers: &map[string]string{"Authorization": contract.HiddenHeader, "X-Team": "red"}})
	if known != nil {
		t.Fatal(known)
	}
	got, _ := call[contract.GetWebhook, contract.Webhook](w, contract.VerbGetWebhook, contract.GetWebhook{ID: hook.ID})
	list, _ := call[contract.ListWebhooks, contract.WebhookList](w, contract.VerbListWebhooks, contract.ListWebhooks{})
	for _, told := range []contract.Webhook{hook, updated, got, list.Webhooks[0]} {
		if len(told.Headers) != 2 || told.Headers["Authorization"] != contract.HiddenHeader || told.Headers["X-Team"] != contract.HiddenHeader {
			t.Errorf("told %v", told.Headers)
		}
	}
	testkit.Eventually(t, func() error {
		request, _ := w.sent(r)
		if request.Header.Get("X-Team") != "red" || request.Header.Get("Authorization") != "Bearer s3cret" {
			return fmt.Errorf("sent %v", request.Header)
		}
		return nil
	})
}

func TestDeliveriesAreForgottenAfterAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := receive(t, fine)
	hook := w.create(r.URL)
	testkit.Eventually(t, func() error {
		if last, err := w.conn.LastEvent(t.Context()); err != nil || last == 0 {
			return fmt.Errorf("the log does not know of the endpoint: %w", err)
		}
		return nil
	})
	first := w.happen("shop").Seq
	w.becomes(hook.ID, contract.DeliveryDelivered)
	w.stop() // the cursor is at the end of the log
	w.cfg.Keep = time.Nanosecond
	w.start()
	testkit.Eventually(t, func() error { return w.delivered(hook.ID, nil) })
	// What is forgotten is not sent again, and that it was sent is still known.
	if request, _ := w.sent(r); request.Header.Get(contract.HeaderPrevSeq) != strconv.FormatUint(first, 10) || r.count() != 2 {
		t.Errorf("%d requests, want 2; before the last came %s, want %d", r.count(), request.Header.Get(contract.HeaderPrevSeq), first)
	}
}
