package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

func TestEachWaitIsToldOnceAndHowItEnded(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	write := contract.Approval{
		ID: "t1", State: contract.ApprovalOpen, Tool: "Write", Title: "Write a file", Input: json.RawMessage(`{"file_path":"a\u001b[2J.txt"}`),
		ExpiresAt: now.Add(90 * time.Minute), Default: contract.ApprovalDenied,
	}
	said := func(a contract.Approval, state contract.ApprovalState, by, comment string) contract.Approval {
		a.State, a.DecidedBy, a.Comment, a.Input = state, by, comment, nil
		return a
	}
	old := said(contract.Approval{ID: contract.ApprovalStart, Title: "make"}, contract.ApprovalApproved, "key:boss", "")
	running := func(approvals ...contract.Approval) contract.Operation {
		return contract.Operation{ID: "0192-1", State: contract.Running, Approvals: approvals}
	}
	stopping := running()
	stopping.CancelRequested, stopping.CancelCause = true, contract.NewFailure(contract.ClassBudget, "used up")
	ended := func(op contract.Operation, state contract.State) contract.Operation {
		op.State = state
		return op
	}
	const waiting = "waiting for approval: Write a [2J.txt – rdev approvals approve 0192-1 t1 (or deny), in 1h, then denied"
	for name, test := range map[string]struct {
		snapshots []contract.Operation
		want      []string
	}{
		"approved": {
			[]contract.Operation{running(), running(write), running(write), running(said(write, contract.ApprovalApproved, "key:boss", "go")), running(said(write, contract.ApprovalApproved, "key:boss", "go"))},
			[]string{waiting, "Write a [2J.txt – approved by key:boss: go"},
		},
		"open before it is followed": {[]contract.Operation{running(write)}, []string{waiting}},
		"decided before it is followed": {
			[]contract.Operation{running(old), running(old, write)}, []string{waiting},
		},
		"decided between two snapshots": {
			[]contract.Operation{running(), running(said(write, contract.ApprovalDenied, "rdev", "nobody decided"))},
			[]string{"Write a file – denied by rdev: nobody decided"},
		},
		"not needed any more": {
			[]contract.Operation{running(write), running(said(write, contract.ApprovalWithdrawn, "", ""))},
			[]string{waiting, "Write a [2J.txt – not needed any more"},
		},
		"ended while it waits": {
			[]contract.Operation{running(write), ended(running(said(write, contract.ApprovalWithdrawn, "", "")), contract.Cancelled)},
			[]string{waiting},
		},
		"denied with the end": {
			[]contract.Operation{running(write), ended(running(said(write, contract.ApprovalDenied, "key:boss", "")), contract.Cancelled)},
			[]string{waiting, "Write a [2J.txt – denied by key:boss"},
		},
		"a limit ends it": {
			[]contract.Operation{running(), stopping, stopping, ended(stopping, contract.Failed)}, []string{"stopping: budget: used up"},
		},
		"progress": {[]contract.Operation{running(), running(), running()}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var followed waits
			var got []string
			for _, op := range test.snapshots {
				got = append(got, followed.news(op, now)...)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestADecisionSaysWhatHappensNow(t *testing.T) {
	tool := contract.Approval{ID: "t1", Tool: "Bash", Title: "Clean up"}
	start := contract.Approval{ID: contract.ApprovalStart, Title: "make release"}
	for want, test := range map[string]struct {
		approval contract.Approval
		state    contract.ApprovalState
		now      contract.State
	}{
		"approved start: make release of operation 0192-1: it starts as soon as its project is free": {start, contract.ApprovalApproved, contract.Pending},
		"approved start: make release of operation 0192-1: it has started":                           {start, contract.ApprovalApproved, contract.Running},
		"approved start: make release of operation 0192-1: it has ended by now: completed":           {start, contract.ApprovalApproved, contract.Completed},
		"denied start: make release of operation 0192-1: it is cancelled, and never starts":          {start, contract.ApprovalDenied, contract.Pending},
		"denied start: make release of operation 0192-1: it is cancelled, and never started":         {start, contract.ApprovalDenied, contract.Cancelled},
		"approved Bash Clean up of operation 0192-1: the agent goes on with it":                      {tool, contract.ApprovalApproved, contract.Running},
		"denied Bash Clean up of operation 0192-1: the agent is told, and goes on without it":        {tool, contract.ApprovalDenied, contract.Running},
		"denied Bash Clean up of operation 0192-1: it has ended by now: cancelled":                   {tool, contract.ApprovalDenied, contract.Cancelled},
	} {
		test.approval.State = test.state
		op := contract.Operation{ID: "0192-1", State: test.now, Approvals: []contract.Approval{test.approval}}
		if diff := cmp.Diff(want, decided(op, contract.Approval{ID: test.approval.ID})); diff != "" {
			t.Error(diff)
		}
	}
}
