package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// maxApprovalTitle is the most that is told of a command that waits, in runes.
const maxApprovalTitle = 200

// Decision is what somebody says of an approval.
type Decision struct {
	Approved bool
	Comment  string
}

// Decide decides an approval, for good. It is a CONFLICT where that was done
// before, unless by the same request, or where the operation has ended.
func (a *App) Decide(ctx context.Context, asker Asker, id, approval string, want Decision) (Accepted, error) {
	state := contract.ApprovalDenied
	if want.Approved {
		state = contract.ApprovalApproved
	}
	request := asker.RequestID()
	replayed := false
	op, err := a.Operations.Update(ctx, id, func(op contract.Operation) (contract.Change, error) {
		now, there := op.Approval(approval)
		replayed = false
		switch {
		case !there:
			return nil, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("operation %s has no approval %s", id, approval)}
		case now.Request == request && now.State == state && now.Comment == want.Comment:
			replayed = true
			return nil, nil
		case now.Request == request:
			return nil, &contract.Error{Code: contract.CodeIdempotencyMismatch, Detail: fmt.Sprintf("Idempotency-Key %q was used for another decision", asker.IdempotencyKey)}
		case now.State != contract.ApprovalOpen:
			return nil, &contract.Error{Code: contract.CodeConflict, Detail: decidedBefore(now)}
		case !time.Now().Before(now.ExpiresAt):
			return nil, &contract.Error{Code: contract.CodeConflict, Detail: "the approval expired at " + stamp(now.ExpiresAt)}
		}
		return contract.OperationApprovalDecided{
			Approval: approval, State: state, By: asker.Actor, Comment: want.Comment, Request: request, At: time.Now().UTC(),
		}, nil
	})
	if err == nil {
		err = signal(a.Operations, op)
	}
	if err != nil {
		return Accepted{}, err
	}
	op, err = settle(ctx, a.Operations, id, time.Now().UTC())
	return Accepted{Operation: op, Replayed: replayed, Over: true}, err
}

func decidedBefore(a contract.Approval) string {
	switch {
	case a.State == contract.ApprovalWithdrawn:
		return "the approval is not needed any more since " + stamp(*a.DecidedAt)
	case a.DecidedBy == contract.ApprovalActor:
		return fmt.Sprintf("the approval expired at %s, and is %s", stamp(a.ExpiresAt), a.State)
	}
	return fmt.Sprintf("the approval was %s by %s at %s", a.State, a.DecidedBy, stamp(*a.DecidedAt))
}

// settle does what is due on an operation by the log alone, step by step until
// nothing is, and returns the operation after that. Whoever does it, and however
// often, it comes to the same.
func settle(ctx context.Context, operations Operations, id string, now time.Time) (contract.Operation, error) {
	for {
		var change contract.Change
		op, err := operations.Update(ctx, id, func(op contract.Operation) (contract.Change, error) {
			change = due(op, now)
			return change, nil
		})
		if err != nil || change == nil {
			return op, err
		}
		if err := signal(operations, op); err != nil {
			return op, err
		}
	}
}

// signal has the executor of a running operation look at it.
func signal(operations Operations, op contract.Operation) error {
	if op.State != contract.Running {
		return nil
	}
	return operations.Signal(op.ID)
}

// due is the next event that an operation has to have by itself, or nil:
//
//	held, and nobody was asked      approval_requested
//	an approval that has expired    approval_decided, as its default says
//	held, and denied                cancelled, or failed where nobody decided
func due(op contract.Operation, now time.Time) contract.Change {
	if op.State.Ended() {
		return nil
	}
	for _, a := range op.Approvals {
		if a.State == contract.ApprovalOpen && !now.Before(a.ExpiresAt) {
			return contract.OperationApprovalDecided{
				Approval: a.ID, State: a.Default, By: contract.ApprovalActor, At: now,
				Comment: fmt.Sprintf("nobody decided within %s", a.ExpiresAt.Sub(a.RequestedAt).Round(time.Second)),
			}
		}
	}
	if !op.Held {
		return nil
	}
	start, asked := op.Approval(contract.ApprovalStart)
	switch {
	case !asked:
		start = contract.NewApproval(op, contract.ApprovalStart, now)
		start.Title = titleOf(op.Command)
		return contract.OperationApprovalRequested{Approval: start}
	case start.State != contract.ApprovalDenied:
		return nil
	case start.DecidedBy == contract.ApprovalActor:
		return contract.OperationFailed{At: now, Failure: contract.NewFailure(contract.ClassTimeout, "it was not approved: %s", start.Comment)}
	}
	return contract.OperationCancelled{At: now}
}

// titleOf is a command in a line.
func titleOf(cmd *contract.Command) string {
	var title string
	switch {
	case cmd == nil:
	case cmd.Shell != nil && cmd.Shell.Script != "":
		title = cmd.Shell.Script
	case cmd.Shell != nil:
		title = strings.Join(cmd.Shell.Argv, " ")
	case cmd.Git != nil:
		title = strings.Join(strings.Fields("git "+cmd.Git.Verb+" "+cmd.Git.URL+" "+cmd.Git.Name+" "+cmd.Git.Ref), " ")
	case cmd.Agent != nil:
		title = cmd.Agent.Provider + ": " + cmd.Agent.Prompt
	}
	title, _, _ = strings.Cut(strings.TrimSpace(title), "\n")
	if runes := []rune(title); len(runes) > maxApprovalTitle {
		return string(runes[:maxApprovalTitle]) + "…"
	}
	return title
}

// OpenApproval is an approval that waits for a decision, and of what.
type OpenApproval struct {
	Operation string            `json:"operation"`
	Project   string            `json:"project"`
	Kind      string            `json:"kind"`
	Actor     string            `json:"actor"` // who asked for the operation
	Approval  contract.Approval `json:"approval"`
}

// OpenApprovals are those of the operations that are wanted, as far as this gateway
// has read the log: what expires first comes first.
func (k *Keeper) OpenApprovals(want func(project string) bool) []OpenApproval {
	k.mu.Lock()
	defer k.mu.Unlock()
	var open []OpenApproval
	for _, op := range k.waiting {
		if !want(op.Project) {
			continue
		}
		for _, a := range op.Approvals {
			if a.State == contract.ApprovalOpen {
				open = append(open, OpenApproval{Operation: op.ID, Project: op.Project, Kind: op.Kind, Actor: op.Actor, Approval: a})
			}
		}
	}
	slices.SortFunc(open, func(a, b OpenApproval) int {
		return cmp.Or(a.Approval.ExpiresAt.Compare(b.Approval.ExpiresAt), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Approval.ID, b.Approval.ID))
	})
	return open
}
