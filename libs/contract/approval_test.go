package contract_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// history applies changes, and fails the test where one is refused.
func history(t *testing.T, changes ...contract.Change) contract.Operation {
	t.Helper()
	var prev *contract.Operation
	for _, change := range changes {
		next, err := contract.Next(prev, change)
		if err != nil {
			t.Fatalf("%s: %v", change.Type(), err)
		}
		prev = &next
	}
	return *prev
}

func held() contract.Change {
	return contract.OperationPending{Operation: contract.Operation{ID: "a", Command: &contract.Command{Approval: contract.ApprovalRequired}}}
}

func asked(id string, second int) contract.Change {
	return contract.OperationApprovalRequested{Approval: contract.Approval{ID: id, RequestedAt: at(second), Input: []byte(`{}`)}}
}

func decided(id string, state contract.ApprovalState, second int) contract.Change {
	return contract.OperationApprovalDecided{Approval: id, State: state, By: "key:a", At: at(second)}
}

func TestACommandThatNeedsAnApprovalRunsOnceItHasOne(t *testing.T) {
	op := history(t, held(), asked(contract.ApprovalStart, 1))
	run := contract.OperationRunning{Attempt: 1, At: at(5)}
	if _, err := contract.Next(&op, run); !op.Held || !errors.Is(err, contract.ErrIllegal) {
		t.Fatalf("held: %t, and running: %v", op.Held, err)
	}
	for state, free := range map[contract.ApprovalState]bool{
		contract.ApprovalApproved: true, contract.ApprovalDenied: false, contract.ApprovalWithdrawn: false,
	} {
		next, err := contract.Next(&op, decided(contract.ApprovalStart, state, 2))
		if err != nil || next.Held == free {
			t.Errorf("%s leaves it held: %t, %v", state, next.Held, err)
		}
		if _, err := contract.Next(&next, run); (err == nil) != free {
			t.Errorf("%s, and running: %v", state, err)
		}
		if next.WaitsSince != nil || next.Waited != 0 {
			t.Errorf("%s: a time that it did not run is counted as waited: %v", state, next.Waited)
		}
	}
}

func TestWhatIsDecidedStaysDecided(t *testing.T) {
	op := history(t, held(), asked(contract.ApprovalStart, 1), decided(contract.ApprovalStart, contract.ApprovalApproved, 2))
	a, ok := op.Approval(contract.ApprovalStart)
	if !ok || a.State != contract.ApprovalApproved || a.DecidedBy != "key:a" || !a.DecidedAt.Equal(at(2)) || a.Input != nil {
		t.Errorf("%+v", a)
	}
	op = history(t, held(), asked(contract.ApprovalStart, 1), decided(contract.ApprovalStart, contract.ApprovalDenied, 2))
	for _, change := range []contract.Change{
		decided(contract.ApprovalStart, contract.ApprovalApproved, 3), asked(contract.ApprovalStart, 3),
	} {
		if _, err := contract.Next(&op, change); !errors.Is(err, contract.ErrIllegal) {
			t.Errorf("%s of what is denied: %v", change.Type(), err)
		}
	}
	if _, err := contract.Next(&op, decided("other", contract.ApprovalApproved, 3)); !errors.Is(err, contract.ErrNotFound) {
		t.Errorf("a decision about nothing: %v", err)
	}
}

// running is an operation that runs, with changes after that.
func running(t *testing.T, more ...contract.Change) contract.Operation {
	t.Helper()
	return history(t, append([]contract.Change{
		contract.OperationPending{Operation: contract.Operation{ID: "a"}}, contract.OperationRunning{Attempt: 1, At: at(0)},
	}, more...)...)
}

func TestTheTimeThatAnOperationWaitsIsCountedOnce(t *testing.T) {
	op := running(t, asked("x", 1), asked("y", 2), decided("x", contract.ApprovalApproved, 3))
	if op.WaitsSince == nil || !op.WaitsSince.Equal(at(1)) || op.Waited != 0 {
		t.Errorf("waits since %v, waited %v", op.WaitsSince, op.Waited)
	}
	op = running(t, asked("x", 1), asked("y", 2), decided("x", contract.ApprovalApproved, 3), decided("y", contract.ApprovalDenied, 5),
		asked("z", 10), decided("z", contract.ApprovalWithdrawn, 11))
	if op.WaitsSince != nil || op.Waited != contract.Duration(5*time.Second) {
		t.Errorf("waits since %v, waited %v", op.WaitsSince, op.Waited)
	}
}

func TestTheEndWithdrawsWhatIsOpen(t *testing.T) {
	for _, end := range []contract.Change{
		contract.OperationCompleted{Attempt: 1, At: at(9)},
		contract.OperationCancelled{At: at(9)},
		contract.OperationFailed{At: at(9), Failure: contract.NewFailure(contract.ClassUser, "no")},
	} {
		op := running(t, asked("x", 1), asked("y", 2), decided("x", contract.ApprovalApproved, 3), end)
		x, _ := op.Approval("x")
		y, _ := op.Approval("y")
		if x.State != contract.ApprovalApproved || y.State != contract.ApprovalWithdrawn || op.WaitsSince != nil {
			t.Errorf("%s: %s, %s, waits since %v", end.Type(), x.State, y.State, op.WaitsSince)
		}
	}
}

func TestASnapshotKeepsWhatIsOpenAndTheLatestOfWhatIsDecided(t *testing.T) {
	changes := []contract.Change{asked("stays", 0)}
	for i := range 40 {
		id := fmt.Sprint(i)
		changes = append(changes, asked(id, 1), decided(id, contract.ApprovalApproved, 2))
	}
	op := running(t, changes...)
	if _, ok := op.Approval("stays"); !ok || len(op.Approvals) != 32 || op.Approvals[31].ID != "39" {
		t.Errorf("%d are kept, of the open one: %t", len(op.Approvals), ok)
	}
	for i := range contract.MaxOpenApprovals - 1 {
		next, err := contract.Next(&op, asked(fmt.Sprint("more", i), 3))
		if err != nil {
			t.Fatal(err)
		}
		op = next
	}
	if _, err := contract.Next(&op, asked("surplus", 3)); !errors.Is(err, contract.ErrIllegal) {
		t.Errorf("more than %d at a time: %v", contract.MaxOpenApprovals, err)
	}
}

func TestTheEndKeepsWhatTheProgressTold(t *testing.T) {
	told := contract.OperationProgressed{Attempt: 1, Result: &contract.Result{Turns: 7, Session: "s"}}
	lost := contract.OperationFailed{At: at(9), Failure: contract.NewFailure(contract.ClassInfrastructure, "lost")}
	if op := running(t, told, lost); op.Result == nil || op.Result.Turns != 7 {
		t.Errorf("a writer that knows nothing took it away: %+v", op.Result)
	}
	if op := running(t, told, contract.OperationCompleted{Attempt: 1, At: at(9), Result: &contract.Result{Turns: 8}}); op.Result.Turns != 8 {
		t.Errorf("%+v", op.Result)
	}
}
