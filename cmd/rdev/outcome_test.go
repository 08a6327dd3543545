package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

func TestTheExitCodeIsTheCommandsAndNeverZeroForAFailure(t *testing.T) {
	code := func(n int) *int { return &n }
	for name, test := range map[string]struct {
		op     contract.Operation
		want   int
		silent bool
	}{
		"completed":              {contract.Operation{State: contract.Completed}, 0, true},
		"said no":                {contract.Operation{State: contract.Failed, ExitCode: code(3), Failure: contract.NewFailure(contract.ClassUser, "x")}, 3, true},
		"timed out":              {contract.Operation{State: contract.Failed, ExitCode: code(143), Failure: contract.NewFailure(contract.ClassTimeout, "x")}, 143, false},
		"failed with exit 0":     {contract.Operation{State: contract.Failed, ExitCode: code(0), Failure: contract.NewFailure(contract.ClassUser, "x")}, 1, false},
		"a code beyond a byte":   {contract.Operation{State: contract.Failed, ExitCode: code(256), Failure: contract.NewFailure(contract.ClassUser, "x")}, 1, true},
		"a signal":               {contract.Operation{State: contract.Failed, ExitCode: code(-1), Failure: contract.NewFailure(contract.ClassUser, "x")}, 1, true},
		"unknown end":            {contract.Operation{State: contract.Failed, Failure: contract.NewFailure(contract.ClassInfrastructure, "x")}, 1, false},
		"failed without a class": {contract.Operation{State: contract.Failed, ExitCode: code(4)}, 4, false},
		"cancelled":              {contract.Operation{State: contract.Cancelled, ExitCode: code(0)}, 130, false},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			if got := report(&said, outcome(test.op)); got != test.want {
				t.Errorf("exit code %d, want %d", got, test.want)
			}
			if silent := said.Len() == 0; silent != test.silent {
				t.Errorf("said %q, want silence: %v", said.String(), test.silent)
			}
		})
	}
}

func TestAnOperationThatALimitCancelledSaysWhich(t *testing.T) {
	op := contract.Operation{ID: "0192-1", State: contract.Cancelled, CancelCause: contract.NewFailure(contract.ClassBudget, "used up")}
	var said bytes.Buffer
	if code := report(&said, outcome(op)); code != exitInterrupted || said.String() != "rdev: operation 0192-1 was cancelled: budget: used up\n" {
		t.Errorf("exit code %d, said %q", code, said.String())
	}
}

func TestAReportOfAProblemTellsFieldsAndWhatToDo(t *testing.T) {
	var said bytes.Buffer
	problem := &client.Problem{
		Status: 410, Code: "CURSOR_EXPIRED", Detail: "gone\x1b[2J",
		Fields: []client.FieldError{{Field: "from_seq", Message: "too old"}},
	}
	if code := report(&said, errors.Join(problem)); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"rdev: gone[2J (CURSOR_EXPIRED)\n", "  from_seq: too old\n", "--from-seq"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%q is not in %q", want, said.String())
		}
	}
	said.Reset()
	problem.Detail = "invalid input: from_seq too old"
	if report(&said, problem); strings.Count(said.String(), "too old") != 1 {
		t.Errorf("it says twice what the error says: %q", said.String())
	}
}

func TestSinceIsATimeOrHowLongAgo(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "2h": now.Add(-2 * time.Hour), "-2h": now.Add(-2 * time.Hour),
		"2026-11-25T10:00:00Z": now.Add(-2 * time.Hour),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := parseSince("yesterday", now); err == nil {
		t.Error("yesterday was taken")
	}
}
