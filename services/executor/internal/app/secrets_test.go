package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

const secret = `s3cr3t/"v4lue"`

// withSecret is a command that names the credential TOKEN.
func withSecret(cmd contract.Command) contract.Command {
	cmd.Credentials = []string{"TOKEN"}
	return cmd
}

func tells(values map[string]string) func(contract.Operation) (map[string]string, error) {
	return func(contract.Operation) (map[string]string, error) { return values, nil }
}

// refuses answers with a code for a while, and then with the secret.
func refuses(code contract.Code, until time.Duration) func(contract.Operation) (map[string]string, error) {
	begin := time.Now()
	return func(contract.Operation) (map[string]string, error) {
		if time.Since(begin) < until {
			return nil, fmt.Errorf("open: %w", &contract.Error{Code: code, Detail: "why it refuses"})
		}
		return map[string]string{"TOKEN": secret}, nil
	}
}

func TestACredentialIsAVariableOfTheRunAndMaskedInAllThatItSays(t *testing.T) {
	cmd := withSecret(sleepFor())
	cmd.Env = map[string]string{"TOKEN": "of the command", "OTHER": "1"}
	half := len(secret) / 2
	w, e := newWorld(t, cmd, program{
		exit: domain.Exit{Known: true, Code: -1, StartError: "cannot start " + secret},
		frames: []domain.Frame{
			stdout("out "+secret[:half], 0, 50),
			{Stream: domain.Stderr, Data: []byte("err " + secret[:half]), Next: 100},
			stdout(secret[half:]+" and "+secret[:half], 11, 150),
			{Stream: domain.Stderr, Data: []byte(secret[half:] + "\n"), Offset: 11, Next: 200},
		},
	})
	w.vault = tells(map[string]string{"TOKEN": secret, "UNASKED": "x"})
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	if want := []string{"OTHER=1", "TOKEN=of the command", "TOKEN=" + secret}; !slices.Equal(w.env, want) {
		t.Errorf("environment %q, want %q", w.env, want)
	}
	if got, want := w.of(contract.OutputStdout), "out [redacted:TOKEN] and "+secret[:half]; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got, want := w.of(contract.OutputStderr), "err [redacted:TOKEN]\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
	if got, want := w.op.Failure.Message, "the command did not start: cannot start [redacted:TOKEN]"; got != want {
		t.Errorf("failure %q, want %q", got, want)
	}
}

func TestWhatAnAgentTellsIsMasked(t *testing.T) {
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	lines := `{"type":"assistant","message":{"content":[{"type":"tool_use","id":"1","name":"Bash","input":{"command":` + string(quoted) + `}}]}}` + "\n" +
		`{"type":"result","subtype":"success","is_error":false,"result":` + string(quoted) + `,"num_turns":1,"session_id":"s"}` + "\n"
	half := len(lines) / 3
	w, e := newWorld(t, withSecret(contract.Command{Agent: &contract.Agent{Provider: "claude-code", Prompt: "hi"}}), program{
		exit: domain.Exit{Known: true},
		frames: []domain.Frame{
			stdout(lines[:half], 0, 200), stdout(lines[half:], int64(half), 400),
			{Stream: domain.Stderr, Data: []byte("warn " + secret[:5]), Next: 500},
			{Stream: domain.Stderr, Data: []byte(secret[5:] + " s"), Offset: 10, Next: 600},
		},
	})
	w.vault = tells(map[string]string{"TOKEN": secret})
	if err := w.execute(t, e); err != nil {
		t.Fatal(err)
	}
	if w.op.State != contract.Completed || w.op.Result.Text != "[redacted:TOKEN]" {
		t.Errorf("%s, %+v; want completed, with its last words masked", w.op.State, w.op.Result)
	}
	if text := w.text(); strings.Contains(text, "s3cr3t") || !strings.Contains(text, `"input":{"command":"[redacted:TOKEN]"}`) {
		t.Errorf("events %s", text)
	}
	if got, want := w.of(contract.OutputStderr), "warn [redacted:TOKEN] s"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

func TestANewAttemptMasksWhatItJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, withSecret(sleepFor()), program{
			takes: time.Hour / 2, exit: domain.Exit{Known: true},
			frames: []domain.Frame{stdout("a "+secret[:6], 0, 50), stdout(secret[6:]+" z", 8, 100)},
		})
		w.vault = tells(map[string]string{"TOKEN": secret})
		dying, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.RunOperation(dying, contract.RunOperation{Operation: "op-1"}, w.renew); err == nil {
			t.Fatal("the first attempt did not die")
		}
		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}
		if w.opened != 2 || w.text() != "a [redacted:TOKEN] z" {
			t.Errorf("opened %d times, output %q", w.opened, w.text())
		}
	})
}

func TestACommandThatNamesNoCredentialAsksNoVault(t *testing.T) {
	w, e := newWorld(t, sleepFor(), program{exit: domain.Exit{Known: true}})
	if err := w.execute(t, e); err != nil || w.opened != 0 {
		t.Errorf("%v, opened %d times; want none", err, w.opened)
	}
}

func TestWhatTheVaultAnswersDecidesAboutACommand(t *testing.T) {
	const forever = 24 * time.Hour
	for name, c := range map[string]struct {
		code  contract.Code
		until time.Duration
		state contract.State
		class contract.FailureClass
		least time.Duration
	}{
		"no such credential":     {contract.CodeNotFound, forever, contract.Failed, contract.ClassUser, 0},
		"a bad request":          {contract.CodeInvalidRequest, forever, contract.Failed, contract.ClassUser, 0},
		"not of this project":    {contract.CodeTargetNotAllowed, forever, contract.Failed, contract.ClassUser, 0},
		"away for ever":          {contract.CodeUnavailable, forever, contract.Failed, contract.ClassInfrastructure, 30 * time.Second},
		"broken for ever":        {contract.CodeInternal, forever, contract.Failed, contract.ClassInfrastructure, 30 * time.Second},
		"away while it restarts": {contract.CodeUnavailable, 20 * time.Second, contract.Completed, "", 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newWorld(t, withSecret(sleepFor()), program{exit: domain.Exit{Known: true}})
				w.vault = refuses(c.code, c.until)
				begin := time.Now()
				if err := w.execute(t, e); err != nil {
					t.Fatal(err)
				}
				took := time.Since(begin)
				if w.op.State != c.state || took < c.least || took > c.least+10*time.Second {
					t.Errorf("%s after %s, want %s after %s", w.op.State, took, c.state, c.least)
				}
				if c.class != "" && (w.op.Failure.Class != c.class || !strings.Contains(w.op.Failure.Message, "why it refuses")) {
					t.Errorf("failure %+v, want class %s and the vault's words", w.op.Failure, c.class)
				}
				if started := c.state == contract.Completed; started != (w.started == 1) || c.least > 0 && w.renewed == 0 {
					t.Errorf("%d starts, %d renewals", w.started, w.renewed)
				}
			})
		})
	}
}

func TestAnOperationThatIsNotRunningHereAnyMoreIsLeftToTheOther(t *testing.T) {
	w, e := newWorld(t, withSecret(sleepFor()), program{})
	w.vault = refuses(contract.CodeConflict, time.Hour)
	if err := w.execute(t, e); !errors.Is(err, contract.ErrFenced) || w.op.State != contract.Running || w.started != 0 {
		t.Errorf("%v, %s, %d starts; want ErrFenced, running, 0", err, w.op.State, w.started)
	}
}

func TestAValueThatTheVaultForgetsIsNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, withSecret(sleepFor()), program{})
		w.vault = tells(map[string]string{"OTHER": secret})
		if err := w.execute(t, e); err != nil || w.started != 0 || w.op.Failure.Class != contract.ClassInfrastructure {
			t.Errorf("%v, %d starts, %+v", err, w.started, w.op.Failure)
		}
	})
}

func TestARunThatIsJoinedWithoutItsSecretsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, withSecret(sleepFor()), program{takes: time.Hour, frames: []domain.Frame{stdout(secret, 0, 50)}})
		w.change(t, contract.OperationRunning{Attempt: 1, Executor: "dead", At: time.Now()})
		w.started = 1
		w.vault = refuses(contract.CodeNotFound, time.Hour)
		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}
		select {
		case <-w.run.stop:
		default:
			t.Error("the run goes on")
		}
		if w.op.State != contract.Failed || w.adopted != 1 || w.cleaned != 1 || w.text() != "" {
			t.Errorf("%s, %d adoptions, %d cleanings, output %q; want failed, 1, 1, none", w.op.State, w.adopted, w.cleaned, w.text())
		}
	})
}

func TestACancelIsHeardWhileTheVaultIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWorld(t, withSecret(sleepFor()), program{})
		w.vault = refuses(contract.CodeUnavailable, time.Hour)
		go func() {
			time.Sleep(5 * time.Second)
			w.change(t, contract.OperationCancelRequested{})
		}()
		begin := time.Now()
		if err := w.execute(t, e); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); w.op.State != contract.Cancelled || w.started != 0 || took > 11*time.Second {
			t.Errorf("%s after %s, %d starts; want cancelled by the next try", w.op.State, took, w.started)
		}
	})
}

func TestAnExecutorLetsGoWhileTheVaultIsAway(t *testing.T) {
	t.Run("as it stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, e := newWorld(t, withSecret(sleepFor()), program{})
			w.vault = refuses(contract.CodeUnavailable, time.Hour)
			stopping, stop := context.WithCancel(t.Context())
			e.Stopping = stopping
			time.AfterFunc(time.Second, stop)
			if err := w.execute(t, e); !errors.Is(err, app.ErrStopping) {
				t.Errorf("%v, want ErrStopping", err)
			}
		})
	})
	t.Run("as NATS is, too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, e := newWorld(t, withSecret(sleepFor()), program{takes: time.Hour})
			w.change(t, contract.OperationRunning{Attempt: 1, Executor: "dead", At: time.Now()})
			w.started = 1
			w.vault, w.renewErr = refuses(contract.CodeUnavailable, time.Hour), errors.New("no NATS")
			begin := time.Now()
			err := w.execute(t, e)
			if took := time.Since(begin); !errors.Is(err, app.ErrLeaseLost) || took >= contract.DefaultLease().AckWait || w.adopted != 0 {
				t.Errorf("%v after %s; want ErrLeaseLost within %s", err, took, contract.DefaultLease().AckWait)
			}
		})
	})
}

// of is what one stream holds. The offsets have to be those of its bytes.
func (w *world) of(stream string) string {
	text := ""
	for _, c := range w.chunks {
		if c.Stream != stream {
			continue
		}
		if c.Offset != int64(len(text)) {
			text += fmt.Sprintf("<offset %d>", c.Offset)
		}
		text += string(c.Data)
	}
	return text
}
