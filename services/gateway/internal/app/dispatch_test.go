package app_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// lanes holds one operation for each lane, until it is freed.
type lanes struct {
	mu   sync.Mutex
	held map[contract.Lane]string
	// refused counts the offers that a lane was too full for.
	refused int
}

func (l *lanes) Offer(_ context.Context, lane contract.Lane, cmd contract.RunOperation) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[lane] != "" {
		l.refused++
		return app.ErrLaneTaken
	}
	l.held[lane] = cmd.Operation
	return nil
}

func (l *lanes) holds(lane contract.Lane) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[lane]
}

func (l *lanes) refusals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *lanes) free(lane contract.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, lane)
}

// teller tells a dispatcher what the log says.
type teller struct {
	*app.Fold
	*app.Dispatcher

	told map[string]contract.Operation
}

// tell appends the event that takes an operation to a state.
func (t teller) tell(id string, state contract.State) {
	op := t.told[id]
	op.ID, op.State, op.Kind, op.Project, op.Lane = id, state, contract.KindShell, "shop", contract.PodLane("shop")
	op.Rev++
	if state == contract.Running {
		op.Attempt++
	}
	t.told[id] = op
	t.Fold.Apply(string(state), time.Now(), op)
}

func inDispatch(t *testing.T, test func(t *testing.T, d teller, l *lanes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &lanes{held: map[contract.Lane]string{}}
		d := app.NewDispatcher(l, domain.WorkLimits{}, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		test(t, teller{app.NewFold(d), d, map[string]contract.Operation{}}, l)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsOfferedBeforeTheLogIsRead(t *testing.T) {
	inDispatch(t, func(t *testing.T, d teller, l *lanes) {
		t.Helper()
		d.tell("a", contract.Pending)
		time.Sleep(time.Minute)
		if got := l.holds(contract.PodLane("shop")); got != "" {
			t.Errorf("%s is offered, which may have ended further on", got)
		}
		d.tell("a", contract.Cancelled)
		d.tell("b", contract.Pending)
		d.Fold.Live()
		synctest.Wait()
		if got := l.holds(contract.PodLane("shop")); got != "b" {
			t.Errorf("the lane holds %q, want b", got)
		}
	})
}

func TestTheNextIsOfferedSoonAfterTheLaneIsFree(t *testing.T) {
	lane := contract.PodLane("shop")
	inDispatch(t, func(t *testing.T, d teller, l *lanes) {
		t.Helper()
		d.Fold.Live()
		d.tell("a", contract.Pending)
		d.tell("b", contract.Pending)
		d.tell("a", contract.Running)
		time.Sleep(14*time.Second + 900*time.Millisecond)
		d.tell("a", contract.Completed)
		time.Sleep(200 * time.Millisecond) // the renewal of offers falls into it
		l.free(lane)                       // the acknowledgement
		time.Sleep(300 * time.Millisecond)
		if got := l.holds(lane); got != "b" {
			t.Errorf("the lane holds %q, want b", got)
		}
		if n := l.refusals(); n > 20 {
			t.Errorf("%d offers were refused", n)
		}
	})
}

func TestALaneThatStaysTakenIsAskedLessAndLess(t *testing.T) {
	lane := contract.PodLane("shop")
	inDispatch(t, func(t *testing.T, d teller, l *lanes) {
		t.Helper()
		l.held[lane] = "somebody else's"
		d.Fold.Live()
		d.tell("a", contract.Pending)
		time.Sleep(10 * time.Minute)
		if n := l.refusals(); n > 60 {
			t.Errorf("%d offers in ten minutes", n)
		}
		l.free(lane)
		time.Sleep(16 * time.Second)
		if got := l.holds(lane); got != "a" {
			t.Errorf("the lane holds %q, want a", got)
		}
		if d.Waiting() != 1 {
			t.Errorf("%d wait", d.Waiting())
		}
	})
}
