package main

import (
	"fmt"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// waits knows what of an operation's waiting was told already. The zero waits has
// told nothing.
type waits struct {
	told     map[string]toldApproval // by id; nil before the first snapshot
	stopping bool
}

// toldApproval is what was told of an approval. Once it is decided, its input is
// not kept, and what it is about is said as it was before.
type toldApproval struct {
	state contract.ApprovalState
	about string
}

// news are the lines that a snapshot of an operation adds: an approval that opened,
// one that was decided, and a limit that ends the run. Decisions from before the
// first snapshot are none.
func (w *waits) news(op contract.Operation, now time.Time) []string {
	var lines []string
	begins := w.told == nil
	if begins {
		w.told = map[string]toldApproval{}
	}
	for _, a := range op.Approvals {
		told := w.told[a.ID]
		if told.state == a.State {
			continue
		}
		about := first(told.about, render.Approval(a))
		w.told[a.ID] = toldApproval{a.State, about}
		switch {
		case a.State == contract.ApprovalOpen:
			lines = append(lines, fmt.Sprintf("waiting for approval: %s – %s (or deny), %s",
				about, decideCommand("approve", op.ID, a.ID), render.Expiry(now, a)))
		case begins, a.State == contract.ApprovalWithdrawn && op.State.Ended():
		default:
			lines = append(lines, fmt.Sprintf("%s – %s", about, render.Decision(a)))
		}
	}
	if op.CancelCause != nil && !op.State.Ended() && !w.stopping {
		w.stopping = true
		lines = append(lines, "stopping: "+render.Failure(op.CancelCause))
	}
	return lines
}

// decideCommand is what to type to decide an approval.
func decideCommand(verb, operation, approval string) string {
	text := "rdev approvals " + verb + " " + render.Line(operation)
	if approval != contract.ApprovalStart {
		text += " " + render.Line(approval)
	}
	return text
}
