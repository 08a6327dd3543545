package notifier_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// add makes an endpoint.
func (w *world) add(request contract.CreateWebhook) contract.Webhook {
	w.t.Helper()
	hook, known := call[contract.CreateWebhook, contract.Webhook](w, contract.VerbCreateWebhook, request)
	if known != nil {
		w.t.Fatal(known)
	}
	return hook
}

// seqs are the sequences of the events that came, each once, in the order in which
// they came first.
func (r *receiver) seqs(t *testing.T) (all []uint64) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[uint64]bool{}
	for _, request := range r.got {
		seq, err := strconv.ParseUint(request.Header.Get(contract.HeaderSeq), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if !seen[seq] {
			seen[seq] = true
			all = append(all, seq)
		}
	}
	return all
}

// first returns the first request that brought an event, and its body.
func (r *receiver) first(seq uint64) (*http.Request, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, request := range r.got {
		if request.Header.Get(contract.HeaderSeq) == strconv.FormatUint(seq, 10) {
			return request, r.body[i]
		}
	}
	return nil, nil
}

// breakOff ends a connection after a part of the answer.
func breakOff(t *testing.T, w http.ResponseWriter, part string) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = conn.Write([]byte(part))
	_ = conn.Close()
}

func TestHostileEndpointsHoldUpNobodyElse(t *testing.T) {
	t.Parallel()
	w := stopped(t)
	w.cfg.RetryMax = time.Second
	w.start()
	done := make(chan struct{})
	wait := func(r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}
	hang := receive(t, func(_ http.ResponseWriter, r *http.Request, _ int) { wait(r) })
	drip := receive(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			_, _ = w.Write([]byte("."))
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-done:
				return
			case <-r.Context().Done():
				return
			case <-tick.C:
			}
		}
	})
	endless := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		for part := make([]byte, 32<<10); ; {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	})
	redirect := receive(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusTemporaryRedirect)
	})
	busy := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	broken := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		switch n {
		case 1:
			breakOff(t, w, "")
		case 2:
			breakOff(t, w, "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf an")
		case 3:
			breakOff(t, w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf an")
		}
	})
	well := receive(t, fine)
	hooks := map[*receiver]contract.Webhook{}
	for _, r := range []*receiver{hang, drip, endless, redirect, busy, broken, well} {
		hooks[r] = w.create(r.URL)
	}
	const events = 300 // more than waits in memory
	var want []uint64
	for range events {
		want = append(want, w.happen("shop").Seq)
	}
	well.await(t, events)
	if n := hang.count(); n > 1 {
		t.Errorf("the one that hangs had %d requests before the healthy one had all", n)
	}
	if got := well.seqs(t); fmt.Sprint(got) != fmt.Sprint(want) || well.count() != events {
		t.Errorf("the healthy one got %v with %d requests, want %v", got, well.count(), want)
	}

	tried := func(r *receiver, attempts int) contract.Delivery {
		t.Helper()
		var first contract.Delivery
		testkit.Eventually(t, func() error {
			if all := w.every(hooks[r].ID, ""); len(all) > 0 {
				first = all[len(all)-1]
			}
			if len(first.Attempts) < attempts {
				return fmt.Errorf("%d attempts, want %d", len(first.Attempts), attempts)
			}
			return nil
		})
		return first
	}
	for name, r := range map[string]*receiver{"drip": drip, "endless": endless} {
		if d := tried(r, 1); d.Status != contract.DeliveryDelivered || d.Attempts[0].StatusCode != http.StatusOK {
			t.Errorf("%s: %+v, want delivered: the status stands", name, d)
		}
	}
	if d := tried(redirect, 2); d.Status != contract.DeliveryPending || d.Attempts[0].StatusCode != http.StatusTemporaryRedirect ||
		d.Attempts[0].Error != "answered 307: redirects are not followed" {
		t.Errorf("redirect: %+v", d)
	}
	d := tried(busy, 2)
	if pause := d.Attempts[1].At.Sub(d.Attempts[0].At); d.Status != contract.DeliveryDelivered || d.Attempts[0].StatusCode != http.StatusTooManyRequests || pause < time.Second {
		t.Errorf("busy: again after %s: %+v", pause, d)
	}
	d = tried(broken, 3)
	if a := d.Attempts; d.Status != contract.DeliveryDelivered || a[0].StatusCode != 0 || a[0].Error == "" || a[1].StatusCode != http.StatusInternalServerError || a[1].Response != "half an" || a[2].StatusCode != http.StatusOK {
		t.Errorf("broken: %+v", d)
	}

	close(done) // and what hung gets all of it, in order
	hang.await(t, events)
	if got := hang.seqs(t); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("what hung got %v, want %v", got, want)
	}
}

func TestOneThatIsGoneIsDisabledAndOthersHearOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var gone contract.Webhook
	hears := receive(t, fine)
	w.add(contract.CreateWebhook{URL: hears.URL, Events: []string{"webhook.*"}})
	leaves := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			w.WriteHeader(http.StatusGone)
		}
	})
	gone = w.create(leaves.URL)
	missed := w.happen("shop")
	var told contract.Webhook
	testkit.Eventually(t, func() error {
		for i, kind := range hears.kinds() {
			if kind == "ai.orchard9.rdev.webhook.disabled.v1" {
				return decode(hears.body[i], &told)
			}
		}
		return fmt.Errorf("heard of %v", hears.kinds())
	})
	if told.ID != gone.ID || told.Enabled || told.DisabledReason == "" || told.Secret != "" {
		t.Errorf("the log tells %+v", told)
	}
	hook, known := call[contract.GetWebhook, contract.Webhook](w, contract.VerbGetWebhook, contract.GetWebhook{ID: gone.ID})
	if known != nil || hook.Enabled || hook.DisabledReason == "" || hook.Health.Failures != 1 {
		t.Errorf("it is %+v (%v)", hook, known)
	}
	if hook, known = call[contract.GetWebhook, contract.Webhook](w, contract.VerbEnableWebhook, contract.GetWebhook{ID: gone.ID}); known != nil || !hook.Enabled || hook.DisabledReason != "" {
		t.Errorf("enabled it is %+v (%v)", hook, known)
	}
	if d := w.becomes(gone.ID, contract.DeliveryDelivered); d.Seq != missed.Seq || len(d.Attempts) != 2 {
		t.Errorf("what it missed: %+v", d)
	}
}
