package app_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

const done = "operation.completed"

func TestEventsArriveInOrderOnceEach(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.happen(5, done)
		w.hook("all", "*")
		w.hook("some", "project.*")
		w.happen(3, done)
		w.happen(1, "project.created")
		w.happen(400, done) // more than waits in memory
		w.happen(1, "key.created")
		w.settle()
		if got := w.taken("all"); !slices.Equal(got, numbers(6, 409)) {
			t.Errorf("all got %v", got)
		}
		if got := w.taken("some"); !slices.Equal(got, []uint64{9}) {
			t.Errorf("some got %v", got)
		}
		w.proveNoGap("all")
	})
}

// proveNoGap does what a receiver can: every event names the one before it.
func (w *world) proveNoGap(id string) {
	w.t.Helper()
	var last uint64
	for _, r := range w.requests(id) {
		if r.status != 200 {
			continue
		}
		if r.prev != last {
			w.t.Errorf("%d says that %d came before it, and %d did", r.seq, r.prev, last)
		}
		last = r.seq
	}
}

func TestAReceiverThatIsDownForAnHourGetsEverythingInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		var up atomic.Bool
		up.Store(true)
		w.answer = func(id string, _ *app.Event) app.Outcome {
			if id == "down" && !up.Load() {
				return app.Outcome{Err: errors.New("connection refused")}
			}
			return app.Outcome{Status: 200}
		}
		w.hook("down", "*")
		w.hook("well", "*")
		w.happen(2, done)
		up.Store(false)
		for range 60 {
			w.happen(10, done)
			time.Sleep(time.Minute)
		}
		if got := w.taken("well"); !slices.Equal(got, numbers(1, 602)) {
			t.Errorf("the one that is well got %d", len(got))
		}
		if n := len(w.requests("down")) - 2; n < 5 || n > 20 {
			t.Errorf("it was tried %d times in an hour", n)
		}
		up.Store(true)
		time.Sleep(time.Hour) // the longest pause
		w.settle()
		if got := w.taken("down"); !slices.Equal(got, numbers(1, 602)) {
			t.Errorf("it got %v", got)
		}
		w.proveNoGap("down")
		if h := w.endpoint("down").Webhook.Health; h.Failures != 0 || h.FailingSince != nil || h.NextAttemptAt != nil || h.Seq < 602 {
			t.Errorf("%+v", h)
		}
	})
}

// A process may die at any point of a delivery. Whoever runs next goes on from the
// table: everything arrives, in order, and what arrives again has the same id.
func TestNothingIsLostWhereverAProcessDies(t *testing.T) {
	for _, point := range []string{"before post", "after post", "before record"} {
		for nth := 1; nth <= 5; nth += 2 {
			t.Run(fmt.Sprint(point, " ", nth), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					t.Helper()
					w.hook("one", "*")
					w.hook("two", "*")
					count := 0
					w.at = func(at string) {
						w.mu.Lock()
						defer w.mu.Unlock()
						if at == point {
							if count++; count == nth {
								w.away = errors.New("the process is dead") // whatever it still says is lost
								go w.stop()
							}
						}
					}
					w.happen(10, done)
					w.stop()
					w.mu.Lock()
					w.away, w.at = nil, func(string) {}
					w.mu.Unlock()
					w.start()
					w.happen(10, done)
					w.settle()
					for _, id := range []string{"one", "two"} {
						w.checkAtLeastOnce(id, 20)
					}
				})
			})
		}
	}
}

// checkAtLeastOnce wants every event up to n, the first time in order, under one id.
func (w *world) checkAtLeastOnce(id string, n uint64) {
	w.t.Helper()
	ids := map[uint64]string{}
	var last uint64
	for _, r := range w.requests(id) {
		if r.status != 200 {
			continue
		}
		if known, again := ids[r.seq]; again && known != r.id || !again && r.seq != last+1 {
			w.t.Errorf("%s: %d came as %s after %d (known as %q)", id, r.seq, r.id, last, known)
		}
		ids[r.seq] = r.id
		last = max(last, r.seq)
	}
	if last != n {
		w.t.Errorf("%s got up to %d, want %d", id, last, n)
	}
}

func TestATableThatIsAwayStopsDeliveriesSoonAndLosesNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.hook("one", "*")
		w.mu.Lock()
		w.away = errors.New("the database is away")
		w.mu.Unlock()
		w.happen(500, done)
		time.Sleep(10 * time.Minute)
		if n := len(w.taken("one")); n > 256 {
			t.Errorf("%d were delivered and not recorded", n)
		}
		w.mu.Lock()
		w.away = nil
		w.mu.Unlock()
		w.settle()
		if got := w.taken("one"); !slices.Equal(got, numbers(1, 500)) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAnEventThatAnEndpointDoesNotWantIsADeadLetter(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.answer = func(_ string, e *app.Event) app.Outcome {
			if e.Seq == 2 {
				return app.Outcome{Status: 400, Excerpt: "no such field"}
			}
			return app.Outcome{Status: 200}
		}
		w.hook("one", "*")
		w.happen(3, done)
		w.settle()
		if got := w.taken("one"); !slices.Equal(got, []uint64{1, 3}) {
			t.Errorf("got %v", got)
		}
		d := w.deliveries["one"][1]
		if d.Status != contract.DeliveryDead || len(d.Attempts) != 1 || d.Attempts[0].Response != "no such field" {
			t.Errorf("%+v", d)
		}
		// Driven again, it is taken.
		w.mu.Lock()
		w.answer = func(string, *app.Event) app.Outcome { return app.Outcome{Status: 200} }
		w.again["one"] = []app.Redelivery{{EventID: "e2", Seq: 2, PrevSeq: 1}}
		w.mu.Unlock()
		w.alter("one", func(*app.Endpoint) {})
		w.settle()
		last := w.requests("one")[3]
		if d := w.deliveries["one"][1]; d.Status != contract.DeliveryDelivered || last.seq != 2 || last.prev != 1 || last.id != "e2" {
			t.Errorf("%+v, %+v", d, last)
		}
		w.happen(1, done)
		w.settle()
		if r := w.requests("one")[4]; r.seq != 4 || r.prev != 3 {
			t.Errorf("the next is %+v", r)
		}
	})
}

func TestAnEndpointThatIsGoneOrFailsForDaysIsDisabled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		answers := map[string]app.Outcome{"gone": {Status: 410}, "broken": {Status: 500}}
		w.answer = func(id string, _ *app.Event) app.Outcome {
			w.mu.Lock()
			defer w.mu.Unlock()
			return answers[id]
		}
		w.hook("gone", "*")
		w.hook("broken", "*")
		w.happen(2, done)
		w.settle()
		if w.endpoint("gone").Webhook.Enabled || len(w.requests("gone")) != 1 {
			t.Errorf("it is asked %d times after it is gone", len(w.requests("gone")))
		}
		for range 119 {
			w.happen(1, done)
			time.Sleep(time.Hour)
		}
		if !w.endpoint("broken").Webhook.Enabled {
			t.Error("it is disabled before its five days are over")
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		broken := w.endpoint("broken").Webhook
		if broken.Enabled || broken.DisabledReason == "" {
			t.Errorf("%+v", broken)
		}
		if d := w.deliveries["broken"]; d[0].Status != contract.DeliveryDead {
			t.Errorf("the first event is %s after three days", d[0].Status)
		}
		asked := len(w.requests("broken"))
		w.happen(3, done)
		time.Sleep(24 * time.Hour)
		if n := len(w.requests("broken")); n != asked {
			t.Errorf("it is asked %d times after it was disabled", n-asked)
		}
		// Enabled again, they get all that was not settled.
		w.mu.Lock()
		answers["gone"], answers["broken"] = app.Outcome{Status: 200}, app.Outcome{Status: 200}
		w.mu.Unlock()
		for _, id := range []string{"gone", "broken"} {
			w.alter(id, func(e *app.Endpoint) {
				e.Webhook.Enabled, e.EnabledAt = true, time.Now()
				e.Webhook.Health = contract.WebhookHealth{Seq: e.Webhook.Health.Seq}
			})
		}
		w.settle()
		if got := w.taken("gone"); !slices.Equal(got, numbers(1, 124)) {
			t.Errorf("gone got %v", got)
		}
		if got := w.taken("broken"); len(got) < 3 || got[len(got)-1] != 124 {
			t.Errorf("broken got %v", got)
		}
	})
}

func TestAnEndpointThatIsSetBackGetsEverythingAgainInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.hook("one", "*")
		w.happen(300, done)
		w.settle()
		w.alter("one", func(e *app.Endpoint) {
			e.Epoch++
			e.PrevSeq, e.Webhook.Health.Seq = 0, 99
		})
		w.happen(2, done)
		w.settle()
		want := append(numbers(1, 300), numbers(100, 302)...)
		if got := w.taken("one"); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestAGapThatTheLogHasForgottenIsSeen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.hook("one", "*")
		w.happen(10, done)
		w.settle()
		w.stop()
		w.happen(600, done)
		w.forgotten = 300
		w.start()
		w.settle()
		all := w.requests("one")
		if len(all) != 320 || all[10].seq != 301 || all[10].prev != 0 || all[11].prev != 301 {
			t.Errorf("%d requests, after the gap %+v", len(all), all[10:12])
		}
	})
}

func TestAChangeOfWhatIsWantedHoldsFromThenOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.hook("one", "project.*")
		w.happen(3, done)
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Events = []string{"operation.*"} })
		w.happen(2, done)
		w.happen(1, "project.created")
		w.settle()
		if got := w.taken("one"); !slices.Equal(got, []uint64{4, 5}) {
			t.Errorf("got %v", got)
		}
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Enabled = false })
		w.happen(4, done)
		w.settle()
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Enabled = true })
		w.settle()
		if got := w.taken("one"); !slices.Equal(got, []uint64{4, 5, 7, 8, 9, 10}) {
			t.Errorf("after a pause it has %v", got)
		}
		w.alter("one", func(e *app.Endpoint) { e.Deleted = true })
		w.happen(2, done)
		w.settle()
		if got := w.taken("one"); len(got) != 6 {
			t.Errorf("after its end it got %v", got)
		}
	})
}

// One that hangs costs the others nothing, however many there are of its kind.
func TestEndpointsThatHangHoldUpNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.answer = func(id string, _ *app.Event) app.Outcome {
			if id != "well" {
				time.Sleep(10 * time.Second)
				return app.Outcome{Err: errors.New("timeout")}
			}
			return app.Outcome{Status: 200}
		}
		for i := range 1000 {
			w.mu.Lock()
			w.change++
			id := fmt.Sprint("hangs", i)
			w.endpoints[id] = app.Endpoint{ChangeSeq: w.change, Webhook: contract.Webhook{ID: id, URL: id, Events: []string{"*"}, Enabled: true}}
			w.mu.Unlock()
		}
		w.hook("well", "*")
		for range 100 {
			w.happen(1, done)
			time.Sleep(time.Second)
		}
		time.Sleep(5 * time.Second)
		var worst time.Duration
		for _, r := range w.requests("well") {
			worst = max(worst, r.at.Sub(w.events[r.seq-1].Time))
		}
		if got := w.taken("well"); !slices.Equal(got, numbers(1, 100)) || worst > 4*time.Second {
			t.Errorf("it got %d of 100, one of them after %s", len(got), worst)
		}
	})
}

func TestWhatManyMissedIsReadOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		for i := range 50 {
			w.hook(fmt.Sprint(i), "*")
		}
		w.stop()
		w.happen(1000, done)
		w.reads = 0
		w.start()
		w.settle()
		for i := range 50 {
			if got := w.taken(fmt.Sprint(i)); !slices.Equal(got, numbers(1, 1000)) {
				t.Fatalf("%d got %d", i, len(got))
			}
		}
		if w.reads > 20 {
			t.Errorf("1000 events were read in %d pages for 50 endpoints", w.reads)
		}
	})
}

// Endpoints fail, are paused, set back and enabled, and processes die, at random:
// whatever happens, an endpoint that is well in the end has everything.
func TestWhateverHappensEverythingArrives(t *testing.T) {
	for seed := range uint64(30) {
		inWorld(t, func(t *testing.T, w *world) {
			t.Helper()
			random := rand.New(rand.NewPCG(seed, 1))
			var failing sync.Map
			w.answer = func(id string, _ *app.Event) app.Outcome {
				if fails, _ := failing.Load(id); fails == true {
					return app.Outcome{Status: 503}
				}
				return app.Outcome{Status: 200}
			}
			ids := []string{"a", "b", "c"}
			for _, id := range ids {
				w.hook(id, "*")
			}
			for range 40 {
				id := ids[random.IntN(len(ids))]
				switch random.IntN(7) {
				case 0:
					w.happen(1+random.IntN(300), done)
				case 1:
					fails, _ := failing.Load(id)
					failing.Store(id, fails != true)
				case 2:
					w.alter(id, func(e *app.Endpoint) { e.Webhook.Enabled = !e.Webhook.Enabled })
				case 3:
					w.stop()
					w.happen(random.IntN(20), done)
					w.start()
				case 4:
					w.alter(id, func(e *app.Endpoint) {
						e.Epoch++
						e.PrevSeq, e.Webhook.Health.Seq = 0, uint64(random.IntN(1+len(w.events)))
					})
				case 5:
					time.Sleep(time.Duration(random.IntN(100)) * time.Second)
				case 6:
					w.happen(1, done)
				}
			}
			failing.Clear()
			for _, id := range ids {
				w.alter(id, func(e *app.Endpoint) { e.Webhook.Enabled = true })
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			for _, id := range ids {
				had := map[uint64]bool{}
				for _, seq := range w.taken(id) {
					had[seq] = true
				}
				// What it skipped when it was set forward does not count.
				missing := 0
				for seq := w.lowest(id); seq <= uint64(len(w.events)); seq++ {
					if !had[seq] {
						missing++
					}
				}
				if missing > 0 {
					t.Errorf("seed %d: %s lacks %d of %d events", seed, id, missing, len(w.events))
				}
			}
		})
	}
}

// lowest is the first event after the last time that an endpoint was set anywhere:
// everything from there on has to arrive.
func (w *world) lowest(id string) uint64 {
	for _, r := range slices.Backward(w.requests(id)) {
		if r.prev == 0 {
			return r.seq
		}
	}
	return uint64(len(w.events)) + 1
}
