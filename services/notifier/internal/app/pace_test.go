package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/notifier/internal/app"
)

func TestARateIsKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.hook("one", "*")
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Rate = 2 })
		begin := time.Now()
		w.happen(20, done)
		time.Sleep(20 * time.Second)
		all := w.requests("one")
		if len(all) != 20 || all[19].at.Sub(begin) < 9*time.Second || all[19].at.Sub(begin) > 11*time.Second {
			t.Errorf("%d requests, the last after %s", len(all), all[len(all)-1].at.Sub(begin))
		}
	})
}

func TestRedeliveriesKeepTheRateAndThePause(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.hook("one", "*")
		w.happen(20, done)
		w.settle()
		w.mu.Lock()
		for seq := range uint64(20) {
			w.again["one"] = append(w.again["one"], app.Redelivery{EventID: fmt.Sprint("e", seq+1), Seq: seq + 1})
		}
		w.mu.Unlock()
		begin := time.Now()
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Rate = 2 })
		time.Sleep(5 * time.Second)
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Enabled = false })
		time.Sleep(time.Minute)
		paused := len(w.requests("one")) - 20
		if paused < 11 || paused > 14 { // each change takes a second to be looked for
			t.Errorf("%d in six seconds, and then a pause", paused)
		}
		w.alter("one", func(e *app.Endpoint) { e.Webhook.Enabled = true })
		time.Sleep(time.Minute)
		all := w.requests("one")
		if len(all) != 40 || len(w.again["one"]) != 0 || all[39].at.Sub(begin) < 64*time.Second {
			t.Errorf("%d requests, %d are left, the last after %s", len(all)-20, len(w.again["one"]), all[len(all)-1].at.Sub(begin))
		}
	})
}

// What is read for nothing, and the connections that it costs, others pay for, too.
func TestAnEndpointThatIsCutOffWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		t.Helper()
		w.answer = func(string, *app.Event) app.Outcome { return app.Outcome{Status: 200, Cut: true} }
		w.hook("endless", "*")
		w.happen(100, done)
		time.Sleep(2*time.Second - time.Millisecond)
		if got := len(w.requests("endless")); got < 15 || got > 20 {
			t.Errorf("%d requests in 2 s, want 10 a second", got)
		}
		w.settle()
		time.Sleep(time.Minute)
		if got := len(w.taken("endless")); got != 100 {
			t.Errorf("it got %d of 100", got)
		}
	})
}
