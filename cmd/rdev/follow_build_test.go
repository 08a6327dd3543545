package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// onBoard is a follower of builds on a terminal that is only a text.
func onBoard(only string) (*buildFollower, *bytes.Buffer) {
	var terminal bytes.Buffer
	style := render.Style{Color: true}
	return &buildFollower{
		out: &terminal, notes: &terminal, style: style, prefixes: style, only: only, screen: true,
		board: &render.Board{Terminal: &terminal, Style: style, Rows: func() int { return 24 }, Now: time.Now},
		told:  map[string]contract.StepState{}, voices: map[string]*voice{}, stop: func() {},
	}, &terminal
}

func buildOf(states ...contract.StepState) contract.Operation {
	op := contract.Operation{ID: "0192-1", Build: &contract.Build{}}
	for i, state := range states {
		name := []string{"lint", "test@linux", "test@darwin"}[i]
		of, _, _ := strings.Cut(name, "@")
		op.Build.Steps = append(op.Build.Steps, contract.BuildStep{Name: name, Of: of, State: state, Operation: fmt.Sprint("0192-1-", i+1)})
	}
	return op
}

func state(kind string, op contract.Operation) client.Output {
	return client.Output{Kind: kind, Operation: client.Operation{Operation: op}}
}

func said(step, stream, text string) client.Output {
	return client.Output{Kind: stream, Step: step, Data: []byte(text)}
}

func TestStepsThatSpeakAtOnceAreToldApart(t *testing.T) {
	const running, completed = contract.StepRunning, contract.StepCompleted
	f, terminal := onBoard("")
	if err := f.begin(buildOf(contract.StepPending, contract.StepPending, contract.StepPending)); err != nil {
		t.Fatal(err)
	}
	for _, output := range []client.Output{
		state(client.OutputState, buildOf(running, running, running)),
		said("test@linux", contract.OutputStdout, "one\ntw"),
		said("test@darwin", contract.OutputStderr, "\x1b[31mother\x1b[0m\x1b[2J\n"),
		said("test@linux", contract.OutputStderr, "between\n"),
		said("test@linux", contract.OutputStdout, "o\nhalf"),
		{Kind: client.OutputGap, Step: "lint", Gap: client.Gap{From: 3, To: 5}},
		state(client.OutputState, buildOf(completed, completed, running)),
		said("test@darwin", contract.OutputStdout, "rest"),
		state(client.OutputEnd, buildOf(completed, completed, completed)),
	} {
		if err := f.write(output); err != nil {
			t.Fatal(err)
		}
	}
	f.end()
	style := render.Style{Color: true}
	linux, darwin, lint := style.Voice(1, "[test@linux]")+" ", style.Voice(2, "[test@darwin]")+" ", style.Voice(0, "[lint]")+" "
	want := []string{
		linux + "one", darwin + "\x1b[31mother\x1b[0m\x1b[0m", linux + "between", linux + "two",
		lint + "\x1b[33mrdev: output between 3 and 5 is not kept any more\x1b[39m\x1b[0m", linux + "half", darwin + "rest",
	}
	var got []string
	for line := range strings.Lines(terminal.String()) {
		if _, text, found := strings.Cut(line, "\x1b[J"); found {
			line = text // what was drawn before is gone
		}
		if strings.Contains(line, "[test@") || strings.Contains(line, "[lint]") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, table, _ := strings.Cut(terminal.String(), "STEP ")
	if rows := strings.Count(table, "completed"); rows != 3 || strings.Contains(table, "\x1b[J") {
		t.Errorf("at the end there is %q", table)
	}
}

func TestAHeldStepIsToldOnlyToWhoSawItComeToItsTurn(t *testing.T) {
	held := func(states ...contract.StepState) contract.Operation {
		op := buildOf(states...)
		op.Build.Steps[0].Command.Approval = contract.ApprovalRequired
		return op
	}
	for name, test := range map[string]struct {
		asked contract.Operation
		want  int
	}{
		"followed from the beginning": {held(contract.StepPending), 1},
		"followed later":              {held(contract.StepRunning), 0},
		"needs no approval":           {buildOf(contract.StepPending), 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, terminal := onBoard("")
			if err := f.begin(test.asked); err != nil {
				t.Fatal(err)
			}
			defer f.end()
			for range 2 {
				if err := f.write(state(client.OutputState, buildOf(contract.StepRunning))); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(terminal.String(), "rdev: lint: waiting for approval: rdev approvals approve 0192-1-1 (or deny)"); n != test.want {
				t.Errorf("it was told %d times, want %d: %q", n, test.want, terminal.String())
			}
		})
	}
}

func TestTheHintOfABuildIsAboutTheStepThatBrokeIt(t *testing.T) {
	op := buildOf(contract.StepFailed, contract.StepFailed, contract.StepFailed)
	op.State, op.Failure = contract.Failed, contract.NewFailure(contract.ClassInfrastructure, "step test@linux: lost")
	op.Build.Steps[0].AllowFailure = true
	var said bytes.Buffer
	code := report(&said, outcome(op))
	want := `rdev: build 0192-1 failed: infrastructure: step test@linux: lost
Its output: rdev builds output 0192-1 --step test@linux
Once more: rdev builds rerun 0192-1
`
	if diff := cmp.Diff(want, said.String()); diff != "" || code != exitFailure {
		t.Errorf("exit code %d: %s", code, diff)
	}
	op.Build.Steps = nil // its time was up before any began
	said.Reset()
	report(&said, outcome(op))
	if strings.Contains(said.String(), "Its output") || !strings.Contains(said.String(), "Once more") {
		t.Errorf("said %q", said.String())
	}
}
