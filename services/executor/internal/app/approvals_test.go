package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

const (
	asksToWrite = `{"type":"control_request","request_id":"r-1","request":{"subtype":"can_use_tool","tool_name":"Write","input":{"file_path":"x","content":"s3cret-value"},"description":"x","tool_use_id":"t-1"}}` + "\n"
	wrote       = `{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t-1","content":"ok"}]}}` + "\n"
	withdraws   = `{"type":"control_cancel_request","request_id":"r-1"}` + "\n"
	says        = `{"type":"assistant","message":{"id":"m-%d","model":"m","content":[{"type":"text","text":"some words"}],"usage":{"input_tokens":1000,"output_tokens":1}}}` + "\n"
)

// asking is an agent that asks for permissions, with a run that says lines.
func asking(t *testing.T, lines ...string) (*world, *app.Executor, *program) {
	t.Helper()
	cmd := contract.Command{
		Agent:           &contract.Agent{Provider: "claude-code", Prompt: "hi", Permissions: contract.PermissionsAsk},
		ApprovalTimeout: contract.Duration(24 * time.Hour), Timeout: contract.Duration(time.Hour),
	}
	run := program{takes: 100 * time.Hour, exit: domain.Exit{Known: true}, more: make(chan domain.Frame, 16)}
	for _, line := range lines {
		run.frames = append(run.frames, run.frame(line))
	}
	w, e := newWorld(t, cmd, run)
	return w, e, w.run
}

// frame is the next of a program's frames.
func (p *program) frame(line string) domain.Frame {
	begin := p.said
	p.said += int64(len(line))
	return stdout(line, begin, p.said)
}

func (p *program) say(line string) { p.more <- p.frame(line) }

// begin executes beside the test, and returns what waits for the end.
func (w *world) begin(t *testing.T, e *app.Executor) (end func()) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- w.execute(t, e) }()
	synctest.Wait()
	return func() {
		w.change(t, contract.OperationCancelRequested{})
		w.signal()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func (w *world) signal() {
	w.mu.Lock()
	hear := w.hear
	w.mu.Unlock()
	hear()
	synctest.Wait()
}

func (w *world) now() contract.Operation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.op
}

func (w *world) approval() (contract.Approval, bool) {
	op := w.now()
	return op.Approval("r-1")
}

func (w *world) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.inputs...)
}

func decide(state contract.ApprovalState, comment string) contract.Change {
	return contract.OperationApprovalDecided{Approval: "r-1", State: state, By: "key:anna", Comment: comment, At: time.Now()}
}

func TestAnAgentIsToldWhatWasDecided(t *testing.T) {
	for state, want := range map[contract.ApprovalState]string{
		contract.ApprovalApproved: `{"behavior":"allow","updatedInput":{"file_path":"x","content":"s3cret-value"}}`,
		contract.ApprovalDenied:   `{"behavior":"deny","message":"denied by key:anna: use another file"}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			w, e, run := asking(t, asksToWrite)
			end := w.begin(t, e)
			a, ok := w.approval()
			if !ok || a.Tool != "Write" || a.Title != "x" || a.State != contract.ApprovalOpen || a.ExpiresAt.Sub(a.RequestedAt) != 24*time.Hour {
				t.Fatalf("%+v", a)
			}
			// It waits for hours, silently and beyond its wall clock, and does not end for that.
			time.Sleep(20 * time.Hour)
			comment := ""
			if state == contract.ApprovalDenied {
				comment = "use another file"
			}
			w.change(t, decide(state, comment))
			w.signal()
			w.signal() // which comes twice
			var got struct {
				Type     string
				Response struct {
					RequestID string `json:"request_id"`
					Response  json.RawMessage
				}
			}
			told := w.told()
			if len(told) != 1 || json.Unmarshal([]byte(told[0]), &got) != nil || got.Type != "control_response" || got.Response.RequestID != "r-1" {
				t.Fatalf("%q", told)
			}
			if !sameJSON(got.Response.Response, want) {
				t.Errorf("%s, want %s", got.Response.Response, want)
			}
			run.say(wrote)
			time.Sleep(4 * time.Minute) // as long as it may be silent
			if op := w.now(); op.State != contract.Running || op.WaitsSince != nil || op.Waited != contract.Duration(20*time.Hour) {
				t.Errorf("%s, waits since %v, waited %v", op.State, op.WaitsSince, time.Duration(op.Waited))
			}
			end()
		})
	}
}

func sameJSON(a []byte, b string) bool {
	var one, other any
	return json.Unmarshal(a, &one) == nil && json.Unmarshal([]byte(b), &other) == nil && fmt.Sprint(one) == fmt.Sprint(other)
}

func TestTheWallClockGoesOnAfterAnApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, run := asking(t, asksToWrite)
		_ = w.begin(t, e)
		time.Sleep(20 * time.Hour)
		w.change(t, decide(contract.ApprovalApproved, ""))
		w.signal()
		run.say(wrote)
		for range 59 {
			time.Sleep(time.Minute)
			run.say(fmt.Sprintf(says, 1))
		}
		if state := w.now().State; state != contract.Running {
			t.Errorf("it is %s before its hour is over", state)
		}
		time.Sleep(2 * time.Minute)
		if op := w.now(); op.Failure == nil || op.Failure.Class != contract.ClassTimeout {
			t.Errorf("%s, %+v after more than an hour of its own", op.State, op.Failure)
		}
	})
}

func TestARequestThatTheAgentTakesBackIsWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, run := asking(t, asksToWrite)
		end := w.begin(t, e)
		run.say(withdraws)
		synctest.Wait()
		a, _ := w.approval()
		if a.State != contract.ApprovalWithdrawn || a.DecidedBy != contract.ApprovalActor || len(w.told()) != 0 {
			t.Errorf("%+v, told %q", a, w.told())
		}
		end()
	})
}

func TestTheNextAttemptAnswersWhatTheLastOneAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, _ := asking(t, fmt.Sprintf(says, 1), asksToWrite)
		ctx, crash := newStopping(t)
		e.Stopping = ctx
		ended := make(chan error, 1)
		go func() { ended <- w.execute(t, e) }()
		synctest.Wait()
		crash()
		if err := <-ended; !errors.Is(err, app.ErrStopping) {
			t.Fatal(err)
		}
		if op := w.now(); !op.Waits() || op.State != contract.Running {
			t.Fatalf("%s, %+v", op.State, op.Approvals)
		}
		time.Sleep(time.Hour) // nobody executes
		w.change(t, decide(contract.ApprovalApproved, ""))
		e.Stopping = t.Context()
		end := w.begin(t, e)
		if told := w.told(); len(told) != 1 || !strings.Contains(told[0], `"allow"`) {
			t.Errorf("told %q", told)
		}
		if op := w.now(); op.Attempt != 2 || len(op.Approvals) != 1 {
			t.Errorf("attempt %d, %+v", op.Attempt, op.Approvals)
		}
		end()
	})
}

func TestAnAnswerThatDoesNotArriveIsGivenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, _ := asking(t, asksToWrite)
		end := w.begin(t, e)
		w.mu.Lock()
		w.inputErr = errors.New("the runner is away")
		w.mu.Unlock()
		w.change(t, decide(contract.ApprovalApproved, ""))
		w.signal()
		w.mu.Lock()
		w.inputErr = nil
		w.mu.Unlock()
		time.Sleep(contract.DefaultLease().Heartbeat)
		if told := w.told(); len(told) != 1 {
			t.Errorf("told %q", told)
		}
		end()
	})
}

func TestWhatAnApprovalShowsHasNoSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, _ := asking(t, asksToWrite)
		w.op.Command.Credentials = []string{"TOKEN"}
		w.vault = func(contract.Operation) (map[string]string, error) {
			return map[string]string{"TOKEN": "s3cret-value"}, nil
		}
		end := w.begin(t, e)
		if a, ok := w.approval(); !ok || strings.Contains(string(a.Input), "s3cret") || !strings.Contains(string(a.Input), "file_path") {
			t.Errorf("%s", a.Input)
		}
		w.change(t, decide(contract.ApprovalApproved, ""))
		w.signal()
		if told := w.told(); len(told) != 1 || !strings.Contains(told[0], "s3cret-value") {
			t.Errorf("the agent gets another input than it asked for: %q", told)
		}
		end()
	})
}

func TestTheLogIsToldWhatAnAgentUses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, run := asking(t, fmt.Sprintf(says, 1))
		end := w.begin(t, e)
		time.Sleep(time.Minute)
		op := w.now()
		if op.Result == nil || op.Result.Turns != 1 || op.Result.Usage.InputTokens != 1000 || !op.Result.Usage.Estimated || op.Rev != 3 {
			t.Errorf("revision %d, %+v", op.Rev, op.Result)
		}
		run.say(fmt.Sprintf(says, 2))
		time.Sleep(time.Minute)
		if op := w.now(); op.Result.Usage.InputTokens != 2000 || op.Rev != 4 {
			t.Errorf("revision %d, %+v", op.Rev, op.Result.Usage)
		}
		end()
	})
}

func TestLimitsEndAnAgentAsABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e, run := asking(t, fmt.Sprintf(says, 1))
		w.op.Command.Agent.Limits.Tokens = 1500
		_ = w.begin(t, e)
		time.Sleep(time.Minute)
		if op := w.now(); op.State != contract.Running {
			t.Fatalf("%s, %+v below its limit", op.State, op.Failure)
		}
		run.say(fmt.Sprintf(says, 2))
		time.Sleep(time.Minute)
		if op := w.now(); op.Failure == nil || op.Failure.Class != contract.ClassBudget || op.Failure.Message != "more than 1500 tokens" || op.Failure.Retryable {
			t.Errorf("%s, %+v", op.State, op.Failure)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w, e, _ := asking(t, fmt.Sprintf(says, 1))
		_ = w.begin(t, e)
		w.change(t, contract.OperationCancelRequested{Cause: contract.NewFailure(contract.ClassBudget, "the day is used up")})
		w.signal()
		time.Sleep(time.Minute)
		if op := w.now(); op.State != contract.Failed || op.Failure.Class != contract.ClassBudget || op.Failure.Message != "the day is used up" {
			t.Errorf("%s, %+v", op.State, op.Failure)
		}
	})
}
