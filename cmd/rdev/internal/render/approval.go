package render

import (
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Approval is what an approval is about, on one line: the start with its command, or
// a tool with what it is to be used for.
func Approval(a contract.Approval) string {
	name, about := "start:", Line(a.Title)
	if a.ID != contract.ApprovalStart {
		name = Line(first(a.Tool, "a tool"))
		about = strings.TrimPrefix(toolSummary(contract.AgentEvent{Tool: a.Tool, Title: a.Title, Input: a.Input}), name+" ")
	}
	return strings.TrimRight(name+" "+Cut(about, widest), ": ")
}

// Expiry is what becomes of an open approval that nobody decides: in 3h, then denied.
func Expiry(now time.Time, a contract.Approval) string {
	at := a.ExpiresAt
	if left := at.Sub(now); left > time.Minute {
		at = now.Add(left.Round(time.Minute)) // 24h, and not 23h a moment later
	}
	return Ago(now, &at) + ", then " + Line(string(a.Default))
}

// Decision is what became of an approval, by whom and why, on one line.
func Decision(a contract.Approval) string {
	if a.State == contract.ApprovalWithdrawn {
		return "not needed any more"
	}
	text := Line(string(a.State))
	if a.DecidedBy != "" {
		text += " by " + Line(a.DecidedBy)
	}
	if a.Comment != "" {
		text += ": " + Cut(Line(a.Comment), 200)
	}
	return text
}

// Standing is the state of an operation with what keeps it there: pending (held),
// pending (due in 5m), running (waits).
func (s Style) Standing(now time.Time, op contract.Operation) string {
	state := s.State(op.State)
	switch {
	case op.Held:
		return state + " (held)"
	case Delayed(now, op):
		return state + " (due " + Due(now, op.Work.RunAt) + ")"
	case op.WaitsSince != nil:
		return state + " (waits)"
	}
	return state
}

// decidedLast is the approval that was decided last, or false.
func decidedLast(op *contract.Operation) (last contract.Approval, found bool) {
	for _, a := range op.Approvals {
		if a.DecidedAt != nil && (!found || !a.DecidedAt.Before(*last.DecidedAt)) {
			last, found = a, true
		}
	}
	return last, found
}
