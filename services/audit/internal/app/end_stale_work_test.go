package app_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func TestLostWorkIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("work", contract.Running)
		op := w.log["work"]
		op.Kind = contract.KindWorkTest
		op.Lane, op.Work = contract.WorkerLane("w1"), &contract.Work{MaxAttempts: 1, Backoff: contract.Duration(10 * time.Second)}
		w.log["work"] = op
		round(t, a, 0, 0)
		round(t, a, 3*time.Minute, 1)
		if got := w.log["work"]; got.State != contract.Pending || len(got.Work.Tries) != 1 || got.Work.Tries[0].Failure.Class != contract.ClassInfrastructure {
			t.Errorf("it is %s: %+v", got.State, got.Work)
		}
	})
}

func TestWorkThatHasToWaitDoesNotExpireBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a := newWorld()
		w.put("work", contract.Pending)
		op, at := w.log["work"], time.Now().Add(48*time.Hour)
		op.Attempt, op.Lane, op.Work = 1, contract.WorkLane(), &contract.Work{RunAt: &at} // for another try
		w.log["work"] = op
		round(t, a, 47*time.Hour, 0)
		round(t, a, 24*time.Hour, 0)
		round(t, a, 2*time.Hour, 1)
		if got := w.log["work"]; got.State != contract.Failed {
			t.Errorf("it is %s", got.State)
		}
	})
}
