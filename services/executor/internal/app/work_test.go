package app_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// newWork is newWorld for a piece of work.
func newWork(t *testing.T, work contract.Work, cmd contract.Command, p program) (*world, *app.Executor) {
	t.Helper()
	w, e := newWorld(t, cmd, p)
	w.op.Kind, w.op.Lane, w.op.Work = contract.KindWorkTest, contract.WorkLane(), &work
	return w, e
}

// take has a worker's command come.
func (w *world) take(t *testing.T, e *app.Executor, on string) {
	t.Helper()
	cmd := contract.RunOperation{Operation: "op-1", Project: project, Kind: contract.KindWorkTest, Worker: on}
	if err := e.RunOperation(t.Context(), cmd, w.renew); err != nil {
		t.Fatalf("on %s: %v", on, err)
	}
}

func TestWorkRunsWhereItsWorkerIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWork(t, contract.Work{MaxAttempts: 1}, sleepFor(), program{exit: domain.Exit{Known: true}})
		w.take(t, e, worker)
		if w.op.State != contract.Completed || w.op.Lane != contract.WorkerLane(worker) || w.cleaned != 1 {
			t.Errorf("%s on %+v, cleaned %d times", w.op.State, w.op.Lane, w.cleaned)
		}
		if s := w.spec; s.Workspace != "/workers/local-1/workspace" || s.Worker != worker || !s.Fresh {
			t.Errorf("it ran in %+v", s.RunRef)
		}
	})
}

func TestWorkThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := contract.Work{MaxAttempts: 3, Backoff: contract.Duration(time.Minute)}
		w, e := newWork(t, work, sleepFor(), program{takes: time.Second, exit: domain.Exit{Known: true, Code: 2}, frames: []domain.Frame{stdout("out", 0, 20)}})
		for try, pause := range []time.Duration{time.Minute, 2 * time.Minute} {
			w.take(t, e, worker)
			if w.op.State != contract.Pending || len(w.op.Work.Tries) != try+1 || time.Until(*w.op.Work.RunAt) != pause || *w.op.Work.Tries[try].ExitCode != 2 {
				t.Fatalf("after try %d: %s, %+v", try+1, w.op.State, w.op.Work)
			}
			rev := w.op.Rev
			w.take(t, e, worker) // the same command, which was not settled in time
			if w.op.Rev != rev {
				t.Fatalf("it ran before its time: %s", w.op.State)
			}
			time.Sleep(pause)
		}
		w.take(t, e, worker)
		if w.op.State != contract.Failed || w.op.Failure.Class != contract.ClassUser || w.started != 3 || w.adopted != 0 || w.cleaned != 3 {
			t.Errorf("%s after %d starts, %d adopted, %d cleaned: %+v", w.op.State, w.started, w.adopted, w.cleaned, w.op.Failure)
		}
		if got := w.text(); got != "outoutout" {
			t.Errorf("the output is %q, want that of three tries", got)
		}
	})
}

func TestWorkThatRunsElsewhereIsLeftThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWork(t, contract.Work{MaxAttempts: 1}, sleepFor(), program{takes: time.Hour, exit: domain.Exit{Known: true}})
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.take(t, e, worker)
		}()
		time.Sleep(time.Minute)
		other := &app.Executor{Operations: w, Settings: e.Settings} // another process, which needs no more for it
		w.take(t, other, "local-2")
		w.take(t, other, "")
		if op, err := w.Load(t.Context(), "op-1"); err != nil || op.Attempt != 1 || op.Lane.Key != worker {
			t.Errorf("attempt %d on %s: it was taken from its worker: %v", op.Attempt, op.Lane.Key, err)
		}
		<-done
		if w.op.State != contract.Completed || w.started != 1 {
			t.Errorf("%s after %d starts", w.op.State, w.started)
		}
	})
}

func TestAnotherExecutorGoesOnWithTheSameTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := contract.Work{MaxAttempts: 2, Tries: []contract.Try{{Attempt: 1}}}
		w, e := newWork(t, work, sleepFor(), program{takes: time.Second, exit: domain.Exit{Known: true}, frames: []domain.Frame{stdout("out", 0, 20)}})
		w.op.Attempt = 1
		w.change(t, contract.OperationRunning{Attempt: 2, Executor: "dead", Worker: worker, At: time.Now()})
		w.started = 1
		w.take(t, e, worker)
		if w.op.State != contract.Completed || w.op.Attempt != 3 || w.adopted != 1 || w.started != 1 {
			t.Errorf("%s in attempt %d, adopted %d times after %d starts", w.op.State, w.op.Attempt, w.adopted, w.started)
		}
	})
}

func TestWorkOfAWorkerThatIsGoneIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWork(t, contract.Work{MaxAttempts: 1}, sleepFor(), program{exit: domain.Exit{Known: true}})
		for n := range contract.LostTries {
			if w.op.State != contract.Pending {
				t.Fatalf("%s after %d tries", w.op.State, n)
			}
			w.take(t, e, "lost")
			time.Sleep(time.Hour)
		}
		if w.op.State != contract.Failed || w.op.Failure.Class != contract.ClassInfrastructure || w.started != 0 {
			t.Errorf("%s: %+v, %d starts", w.op.State, w.op.Failure, w.started)
		}
	})
}

func TestTheNextTryDoesNotWaitForWhatIsLeftOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := contract.Work{MaxAttempts: 3, Backoff: contract.Duration(time.Second)}
		w, e := newWork(t, work, sleepFor(), program{exit: domain.Exit{Known: true, Code: 1}})
		w.cleaning = func() {
			time.Sleep(time.Minute)
			w.take(t, e, "lost") // another worker, while this one is not done
		}
		w.take(t, e, worker)
		if tries := w.op.Work.Tries; len(tries) != 2 || tries[1].Worker != "lost" {
			t.Errorf("it was tried %d times: %+v", len(tries), tries)
		}
	})
}

func TestCancelledWorkIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWork(t, contract.Work{MaxAttempts: 9}, sleepFor(), program{takes: time.Hour, exit: domain.Exit{Known: true, Code: 1}})
		go func() {
			time.Sleep(time.Second)
			w.change(t, contract.OperationCancelRequested{})
			w.hear()
		}()
		w.take(t, e, worker)
		if w.op.State != contract.Cancelled || len(w.op.Work.Tries) != 0 {
			t.Errorf("%s after %d tries", w.op.State, len(w.op.Work.Tries))
		}
	})
}

func TestARepositoryIsCheckedOutBeforeTheProgramStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		work := contract.Work{MaxAttempts: 1, Repository: &contract.Repository{URL: "https://git.example.com/shop.git", Ref: "v1"}}
		cmd := contract.Command{Shell: &contract.Shell{Argv: []string{"make", "test"}}, Workdir: "api"}
		w, e := newWork(t, work, cmd, program{exit: domain.Exit{Known: true}})
		w.take(t, e, worker)
		argv := w.spec.Argv
		if len(argv) < 4 || !slices.Equal(argv[4:], []string{"https://git.example.com/shop.git", "v1", "api", "make", "test"}) || w.spec.Dir != "" {
			t.Errorf("it starts %q in %q", argv, w.spec.Dir)
		}
		if strings.Contains(argv[2], "example.com") {
			t.Errorf("a value is part of the script %q", argv[2])
		}
	})
}

func TestARepositoryThatCannotBeHadIsSaid(t *testing.T) {
	for stdout, want := range map[string]bool{"": true, "my own": false} {
		synctest.Test(t, func(t *testing.T) {
			work := contract.Work{MaxAttempts: 1, Repository: &contract.Repository{URL: "https://git.example.com/shop.git"}}
			p := program{exit: domain.Exit{Known: true, Code: 176}}
			if stdout != "" {
				p.frames = []domain.Frame{{Stream: domain.Stdout, Data: []byte(stdout), Next: 20}}
			}
			w, e := newWork(t, work, sleepFor(), p)
			w.take(t, e, worker)
			if got := w.op.Failure; w.op.State != contract.Failed || strings.Contains(got.Message, "checked out") != want {
				t.Errorf("after %q on stdout: %+v", stdout, got)
			}
		})
	}
}
