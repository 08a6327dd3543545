package app_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func sleepFor() contract.Command {
	return contract.Command{Shell: &contract.Shell{Argv: []string{"sleep", "3600"}}}
}

func stdout(text string, offset, next int64) domain.Frame {
	return domain.Frame{Stream: domain.Stdout, Data: []byte(text), Offset: offset, Next: next}
}

func TestRunOperationTellsHowTheProgramEnded(t *testing.T) {
	tests := map[string]struct {
		exit  domain.Exit
		state contract.State
		class contract.FailureClass
		code  int
	}{
		"exit 0":            {domain.Exit{Known: true}, contract.Completed, "", 0},
		"exit 3":            {domain.Exit{Known: true, Code: 3}, contract.Failed, contract.ClassUser, 3},
		"a signal":          {domain.Exit{Known: true, Code: -1, Signal: "SIGKILL"}, contract.Failed, contract.ClassUser, -1},
		"an unknown end":    {domain.Exit{}, contract.Failed, contract.ClassInfrastructure, -1},
		"no such program":   {domain.Exit{Known: true, Code: 127, StartError: "not found"}, contract.Failed, contract.ClassUser, -1},
		"leftovers, exit 0": {domain.Exit{Known: true, Leftovers: 2}, contract.Completed, "", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newWorld(t, sleepFor(), program{takes: 30 * time.Minute, exit: test.exit, frames: []domain.Frame{stdout("out", 0, 20)}})

				if err := w.execute(t, e); err != nil {
					t.Fatal(err)
				}

				if w.op.State != test.state || w.op.Attempt != 1 || w.cleaned != 1 {
					t.Errorf("%s in attempt %d, cleaned %d times; want %s, 1, 1", w.op.State, w.op.Attempt, w.cleaned, test.state)
				}
				if test.class != "" && (w.op.Failure == nil || w.op.Failure.Class != test.class) {
					t.Errorf("failure %+v, want class %s", w.op.Failure, test.class)
				}
				if (test.code >= 0) != (w.op.ExitCode != nil) || w.op.ExitCode != nil && *w.op.ExitCode != test.code {
					t.Errorf("exit code %v, want %d", w.op.ExitCode, test.code)
				}
				if took := w.op.FinishedAt.Sub(*w.op.StartedAt); took != 30*time.Minute {
					t.Errorf("took %s, want 30m", took)
				}
			})
		})
	}
}

func TestRunOperationAgainAfterItsEndDoesNothing(t *testing.T) {
	w, e := newWorld(t, sleepFor(), program{exit: domain.Exit{Known: true}})
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	rev := w.op.Rev
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	if w.op.Rev != rev || w.started != 1 {
		t.Errorf("revision %d and %d starts, want %d and 1", w.op.Rev, w.started, rev)
	}
}

func TestANewAttemptJoinsTheRunThatTheLastOneLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, sleepFor(), program{
			takes: time.Hour / 2, exit: domain.Exit{Known: true},
			frames: []domain.Frame{stdout("one ", 0, 20), stdout("two", 4, 40)},
		})
		dying, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := e.RunOperation(dying, contract.RunOperation{Operation: "op-1"}, w.renew)
		if err == nil || w.op.State != contract.Running {
			t.Fatalf("an executor that dies leaves the operation running; got %v, %s", err, w.op.State)
		}

		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}

		if w.started != 1 || w.adopted != 1 || w.op.Attempt != 2 || w.op.State != contract.Completed {
			t.Errorf("%d starts, %d adoptions, attempt %d, %s; want 1, 1, 2, completed", w.started, w.adopted, w.op.Attempt, w.op.State)
		}
		if w.text() != "one two" {
			t.Errorf("output %q, want each byte once", w.text())
		}
	})
}

func TestARunThatNeverStartedIsStartedByTheNextAttempt(t *testing.T) {
	w, e := newWorld(t, sleepFor(), program{exit: domain.Exit{Known: true}})
	w.change(t, contract.OperationRunning{Attempt: 1, Executor: "dead", At: time.Now()})
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	if w.started != 1 || w.op.Attempt != 2 || w.op.State != contract.Completed {
		t.Errorf("%d starts, attempt %d, %s; want 1, 2, completed", w.started, w.op.Attempt, w.op.State)
	}
}

func TestACancelIsHeardAtOnceAndAtTheLatestWithAHeartbeat(t *testing.T) {
	for name, signal := range map[string]bool{"with a signal": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newWorld(t, sleepFor(), program{takes: time.Hour, exit: domain.Exit{Known: true}})
				go func() {
					time.Sleep(time.Minute + time.Second)
					w.change(t, contract.OperationCancelRequested{})
					if signal {
						w.hear()
					}
				}()
				begin := time.Now()
				if err := w.execute(t, e); err != nil {
					t.Fatal(err)
				}
				latest := time.Minute + time.Second
				if !signal {
					latest += contract.DefaultLease().Heartbeat
				}
				if took := time.Since(begin); w.op.State != contract.Cancelled || took > latest {
					t.Errorf("%s after %s, want cancelled after at most %s", w.op.State, took, latest)
				}
			})
		})
	}
}

func TestAProgramThatTakesTooLongFailsWithATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cmd := sleepFor()
		cmd.Timeout = contract.Duration(10 * time.Minute)
		w, e := newWorld(t, cmd, program{takes: time.Hour})
		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}
		if w.op.State != contract.Failed || w.op.Failure.Class != contract.ClassTimeout {
			t.Errorf("%s, %+v; want failed with a timeout", w.op.State, w.op.Failure)
		}
	})
}

func TestAnExecutorThatWasReplacedLetsGoAndSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, sleepFor(), program{takes: time.Hour, exit: domain.Exit{Known: true}})
		go func() {
			time.Sleep(time.Minute)
			w.change(t, contract.OperationRunning{Attempt: 2, Executor: "newer", At: time.Now()})
		}()
		err := w.execute(t, e)
		if !errors.Is(err, contract.ErrFenced) || w.op.State != contract.Running || w.op.Attempt != 2 {
			t.Errorf("%v; the operation is %s in attempt %d; want ErrFenced, running, 2", err, w.op.State, w.op.Attempt)
		}
	})
}

func TestAnExecutorThatIsCutOffLetsGoBeforeItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, sleepFor(), program{takes: time.Hour, exit: domain.Exit{Known: true}})
		w.renewErr = errors.New("no NATS")
		begin := time.Now()
		err := w.execute(t, e)
		if took := time.Since(begin); !errors.Is(err, app.ErrLeaseLost) || took >= contract.DefaultLease().AckWait {
			t.Errorf("%v after %s; want ErrLeaseLost within %s", err, took, contract.DefaultLease().AckWait)
		}
		select {
		case <-w.run.stop:
			t.Error("the run was ended; whoever takes over is to join it")
		default:
		}
	})
}

func TestACommandThatIsUnderWayHereIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, sleepFor(), program{takes: time.Hour / 2, exit: domain.Exit{Known: true}})
		first := make(chan error, 1)
		go func() { first <- w.execute(t, e) }()
		synctest.Wait()
		if err := w.execute(t, e); !errors.Is(err, app.ErrAlreadyHere) {
			t.Errorf("the second delivery: %v, want ErrAlreadyHere", err)
		}
		if err := <-first; err != nil || w.op.Attempt != 1 {
			t.Errorf("%v, attempt %d; want none, 1", err, w.op.Attempt)
		}
	})
}

func TestAnAgentWithAResultGetsTheEndOfItsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := `{"type":"assistant","message":{"content":[{"type":"text","text":"done"}]}}` + "\n" +
			`{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"session_id":"s"}` + "\n"
		w, e := newWorld(t, contract.Command{Agent: &contract.Agent{Provider: "claude-code", Prompt: "hi"}}, program{
			takes: time.Second, exit: domain.Exit{Known: true}, frames: []domain.Frame{stdout(lines, 0, 200)},
		})
		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}
		if !w.closed || w.op.State != contract.Completed || w.op.Result.Text != "done" {
			t.Errorf("input closed: %t, %s, %+v; want true, completed, done", w.closed, w.op.State, w.op.Result)
		}
		if last := string(w.chunks[len(w.chunks)-1].Data); !strings.Contains(last, `"type":"result"`) {
			t.Errorf("the last chunk is %s, want the result", last)
		}
	})
}

func TestASilentAgentIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, contract.Command{Agent: &contract.Agent{Provider: "opencode", Prompt: "hi"}}, program{takes: time.Hour})
		begin := time.Now()
		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); w.op.Failure == nil || w.op.Failure.Class != contract.ClassTimeout || took > 6*time.Minute {
			t.Errorf("%+v after %s; want a timeout after 5m", w.op.Failure, took)
		}
	})
}
