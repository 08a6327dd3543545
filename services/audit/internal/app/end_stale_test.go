package app_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// world is the log, the view of it and the lanes, in memory.
type world struct {
	app.View // what no test here asks for
	log      map[string]contract.Operation
	view     map[string]contract.Operation // what the view believes, where it is not the log
	lanes    map[contract.Lane]string
	broken   error // of the lanes
}

func (w *world) Open(_ context.Context, state contract.State, before time.Time) ([]contract.Operation, error) {
	var open []contract.Operation
	for id, op := range w.log {
		if seen, ok := w.view[id]; ok {
			op = seen
		}
		if op.State == state && op.CreatedAt.Before(before) {
			open = append(open, op)
		}
	}
	slices.SortFunc(open, func(a, b contract.Operation) int { return strings.Compare(a.ID, b.ID) })
	return open, nil
}

func (w *world) Update(_ context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	op, ok := w.log[id]
	if !ok {
		return op, contract.ErrNotFound
	}
	change, err := decide(op)
	if err != nil || change == nil {
		return op, err
	}
	next, err := contract.Next(&op, change)
	if err == nil {
		w.log[id] = next
	}
	return next, err
}

func (w *world) OnLane(_ context.Context, lane contract.Lane) (contract.RunOperation, error) {
	if w.broken != nil {
		return contract.RunOperation{}, w.broken
	}
	id, ok := w.lanes[lane]
	if !ok {
		return contract.RunOperation{}, contract.ErrNotFound
	}
	return contract.RunOperation{Operation: id}, nil
}

func newWorld() (*world, *app.App) {
	w := &world{log: map[string]contract.Operation{}, view: map[string]contract.Operation{}, lanes: map[contract.Lane]string{}}
	return w, &app.App{View: w, Operations: w, Lanes: w, ExpireAfter: 24 * time.Hour, LostAfter: 2 * time.Minute}
}

func (w *world) put(id string, state contract.State) {
	op := contract.Operation{ID: id, State: state, Rev: 1, CreatedAt: time.Now().Add(-time.Second), Lane: contract.PodLane(id)}
	if state == contract.Running {
		op.Rev, op.Attempt = 2, 1
	}
	w.log[id] = op
}

// round runs one round of cleaning after a while.
func round(t *testing.T, a *app.App, after time.Duration, want int) {
	t.Helper()
	time.Sleep(after)
	ended, err := a.EndStale(t.Context())
	if err != nil || ended != want {
		t.Errorf("a round after %s ended %d operations, %v, want %d", after, ended, err, want)
	}
}

func TestABuildIsNotLostForHavingNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("build", contract.Running)
		build := w.log["build"]
		build.Kind, build.Lane, build.Build = contract.KindBuild, contract.Lane{}, &contract.Build{}
		w.log["build"] = build
		w.put("lost", contract.Running)
		round(t, a, time.Second, 0)
		round(t, a, 3*time.Minute, 1)
		if w.log["build"].State != contract.Running || w.log["lost"].State != contract.Failed {
			t.Errorf("the build is %s", w.log["build"].State)
		}
	})
}

func TestAnOperationThatDoesNotStartInADayExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("slow", contract.Pending)
		round(t, a, 23*time.Hour, 0)
		round(t, a, time.Hour, 1)
		got := w.log["slow"]
		if got.State != contract.Failed || got.Failure.Class != contract.ClassInfrastructure || !strings.HasPrefix(got.Failure.Message, "expired") {
			t.Errorf("got %s, %+v", got.State, got.Failure)
		}
	})
}

func TestAnOperationThatStartedInTheMeantimeDoesNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("late", contract.Pending)
		w.view["late"] = w.log["late"]
		w.put("late", contract.Running)
		w.lanes[contract.PodLane("late")] = "late"
		round(t, a, 25*time.Hour, 0)
		if got := w.log["late"].State; got != contract.Running {
			t.Errorf("got %s", got)
		}
	})
}

func TestARunningOperationIsLostOnceItsLaneHasForgottenItForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		for _, id := range []string{"gone", "replaced", "alive"} {
			w.put(id, contract.Running)
		}
		w.lanes[contract.PodLane("replaced")] = "another"
		w.lanes[contract.PodLane("alive")] = "alive"
		nowhere := w.log["gone"]
		nowhere.ID, nowhere.Lane = "nowhere", contract.Lane{Service: "*", Name: "*", Key: ">"}
		w.log["nowhere"] = nowhere
		round(t, a, time.Second, 0)
		round(t, a, 2*time.Minute, 0)
		round(t, a, time.Second, 3)
		for _, id := range []string{"gone", "replaced", "nowhere"} {
			got := w.log[id]
			if got.State != contract.Failed || !strings.HasPrefix(got.Failure.Message, "lost") {
				t.Errorf("%s: got %s, %+v", id, got.State, got.Failure)
			}
		}
		if got := w.log["alive"].State; got != contract.Running {
			t.Errorf("alive: got %s", got)
		}
	})
}

func TestALaneThatComesBackOrANewAttemptBeginsTheWaitAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("flaky", contract.Running)
		round(t, a, 0, 0)
		w.lanes[contract.PodLane("flaky")] = "flaky"
		round(t, a, time.Minute, 0)
		delete(w.lanes, contract.PodLane("flaky"))
		round(t, a, 90*time.Second, 0)
		again := w.log["flaky"]
		again.Rev, again.Attempt = 3, 2
		w.log["flaky"] = again
		round(t, a, 3*time.Minute, 0)
		round(t, a, 2*time.Minute+time.Second, 1)
	})
}

func TestWhatCannotBeToldIsTriedAgainInTheNextRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("gone", contract.Running)
		w.put("slow", contract.Pending)
		w.broken = errors.New("no answer")
		time.Sleep(25 * time.Hour)
		ended, err := a.EndStale(t.Context())
		if ended != 1 || !errors.Is(err, w.broken) {
			t.Errorf("ended %d, %v, want the expired one and the error of the other", ended, err)
		}
		w.broken = nil
		round(t, a, time.Second, 0)
		round(t, a, 3*time.Minute, 1)
	})
}
