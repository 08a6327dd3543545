package app_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// work tells of a piece of work: what it is, and the state it comes to on a worker.
func (t teller) work(id string, state contract.State, worker string, work contract.Work) {
	op := t.told[id]
	eventType := string(state)
	if op.State == contract.Running && state == contract.Pending {
		eventType = contract.TypeRetrying
	}
	op.ID, op.State, op.Kind, op.Project, op.Lane, op.Work = id, state, contract.KindWorkTest, "shop", contract.WorkerLane(worker), &work
	op.Rev++
	if state == contract.Running {
		op.Attempt++
	}
	t.told[id] = op
	t.Fold.Apply(eventType, time.Now(), op)
}

func (t teller) worker(id string, state contract.WorkerState) {
	t.SetWorker(contract.Worker{ID: id, State: state})
}

func TestWorkIsOfferedToEachFreeWorker(t *testing.T) {
	inDispatch(t, func(t *testing.T, d teller, l *lanes) {
		t.Helper()
		d.work("before", contract.Pending, "", contract.Work{})
		d.worker("w1", contract.WorkerReady)
		time.Sleep(time.Minute)
		if got := l.holds(contract.WorkerLane("w1")); got != "" {
			t.Errorf("%s is offered before the log is read", got)
		}
		d.Fold.Live()
		d.worker("w2", contract.WorkerReady)
		d.worker("w3", contract.WorkerDraining)
		d.work("a", contract.Pending, "", contract.Work{})
		d.work("b", contract.Pending, "", contract.Work{})
		synctest.Wait()
		for worker, want := range map[string]string{"w1": "before", "w2": "a", "w3": ""} {
			if got := l.holds(contract.WorkerLane(worker)); got != want {
				t.Errorf("%s holds %q, want %q", worker, got, want)
			}
		}
		d.work("before", contract.Running, "w1", contract.Work{})
		d.work("before", contract.Completed, "w1", contract.Work{})
		l.free(contract.WorkerLane("w1"))
		time.Sleep(300 * time.Millisecond)
		if got := l.holds(contract.WorkerLane("w1")); got != "b" {
			t.Errorf("the worker that is free again holds %q, want b", got)
		}
		if d.Waiting() != 2 || d.WaitingFor(contract.WorkLane(), "shop") != 2 || d.WaitingFor(contract.WorkLane(), "blog") != 0 {
			t.Errorf("%d wait", d.Waiting())
		}
	})
}

func TestWorkIsOfferedWhenItsTimeHasCome(t *testing.T) {
	lane := contract.WorkerLane("w1")
	inDispatch(t, func(t *testing.T, d teller, l *lanes) {
		t.Helper()
		at := time.Now().Add(time.Hour)
		d.work("old", contract.Pending, "", contract.Work{RunAt: &at})
		d.worker("w1", contract.WorkerReady)
		d.Fold.Live()
		time.Sleep(time.Hour - time.Millisecond)
		if got := l.holds(lane); got != "" {
			t.Errorf("%s is offered early", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := l.holds(lane); got != "old" {
			t.Errorf("the worker holds %q", got)
		}
		d.work("old", contract.Running, "w1", contract.Work{})
		next := time.Now().Add(time.Minute)
		d.work("old", contract.Pending, "", contract.Work{RunAt: &next, Tries: []contract.Try{{Attempt: 1}}})
		l.free(lane)
		time.Sleep(time.Minute - time.Millisecond)
		if got := l.holds(lane); got != "" {
			t.Errorf("%s is tried again early", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := l.holds(lane); got != "old" {
			t.Errorf("another try is not offered: %q", got)
		}
	})
}

func TestWorkThatRunsIsOfferedToItsWorkerAgain(t *testing.T) {
	inDispatch(t, func(t *testing.T, d teller, l *lanes) {
		t.Helper()
		d.Fold.Live()
		d.worker("w1", contract.WorkerReady)
		d.work("a", contract.Pending, "", contract.Work{})
		d.work("a", contract.Running, "w1", contract.Work{})
		d.worker("w1", contract.WorkerDraining)
		l.free(contract.WorkerLane("w1")) // NATS has lost it
		time.Sleep(16 * time.Second)
		if got := l.holds(contract.WorkerLane("w1")); got != "a" {
			t.Errorf("the worker holds %q, want what runs there", got)
		}
	})
}

func TestStatsTellWhatBecameOfWork(t *testing.T) {
	inDispatch(t, func(t *testing.T, d teller, _ *lanes) {
		t.Helper()
		stats := app.NewWorkStats()
		d.Fold = app.NewFold(d.Dispatcher, stats)
		queue := app.WorkQueue{Dispatcher: d.Dispatcher, Stats: stats}
		everything := func(string) bool { return true }
		d.Fold.Live()
		d.worker("w1", contract.WorkerReady)
		for id, wait := range map[string]time.Duration{"a": time.Second, "b": time.Second, "c": time.Minute} {
			d.work(id, contract.Pending, "", contract.Work{})
			time.Sleep(wait)
			d.work(id, contract.Running, "w1", contract.Work{})
			if id == "b" {
				d.work(id, contract.Pending, "", contract.Work{Tries: []contract.Try{{Attempt: 1}}})
				d.work(id, contract.Running, "w1", contract.Work{})
			}
			end := contract.Completed
			if id == "c" {
				end = contract.Failed
			}
			d.work(id, end, "w1", contract.Work{})
		}
		d.work("waits", contract.Pending, "", contract.Work{})
		soon := time.Now().Add(time.Hour)
		d.work("later", contract.Pending, "", contract.Work{RunAt: &soon})
		time.Sleep(30 * time.Second)
		got := queue.Report(time.Now(), true, everything)
		if got.Queued != 1 || got.Delayed != 1 || got.Running != 0 || got.Completed != 2 || got.Failed != 1 || got.Retried != 1 || got.OldestAge != 30 {
			t.Errorf("the report is %+v", got)
		}
		if got.Wait.P50 < 1 || got.Wait.P50 > 1.2 || got.Wait.P95 < 60 || got.Wait.P95 > 72 {
			t.Errorf("work waited %+v", got.Wait)
		}
		if w := got.ByWorker["w1"]; w.Completed != 2 || w.Failed != 2 || w.Operation != nil || got.ByKind["test"].Queued != 1 || got.ByProject["shop"].Delayed != 1 {
			t.Errorf("by worker %+v, by kind %+v, by project %+v", got.ByWorker, got.ByKind, got.ByProject)
		}
		if none := queue.Report(time.Now(), false, func(string) bool { return false }); none.Completed != 0 || none.OldestAge != 0 || len(none.ByProject) != 0 || none.ByKind != nil {
			t.Errorf("who sees nothing is told %+v", none)
		}
		time.Sleep(2 * time.Hour)
		if got := queue.Report(time.Now(), true, everything); got.Completed != 0 || got.Queued != 2 || got.Wait != (app.WaitQuantiles{}) {
			t.Errorf("two hours later the report is %+v", got)
		}
	})
}
