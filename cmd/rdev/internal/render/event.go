package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Event is one event of the log on one line.
type Event struct {
	Seq     uint64
	Time    time.Time
	Entity  string
	Type    string
	ID      string
	Project string
	Actor   string

	Operation *contract.Operation // of an operation's event
	Budget    *contract.Budget    // of a project or key that has another one
}

// Event writes the line: sequence, time of day, what happened, to what, details.
func (s Style) Event(event Event) string {
	name := Line(event.Entity + "." + event.Type)
	paint := s.Plain
	switch event.Type {
	case contract.TypeCompleted, contract.TypeProjectCreated:
		paint = s.Good
	case contract.TypeFailed:
		paint = s.Bad
	case contract.TypeCancelled, contract.TypeCancelRequested, contract.TypeApprovalRequested, contract.TypeRetrying,
		contract.TypeProjectDeleted, contract.TypeProjectDeleting, contract.TypeWorkerDraining, contract.TypeWorkerGone:
		paint = s.Warn
	case contract.TypeRunning, contract.TypeApprovalDecided:
		paint = s.Mark
	case contract.TypeProgressed, contract.TypeStepped, contract.TypeProvisioned:
		paint = s.Dim
	}
	line := fmt.Sprintf("%s  %s  %s  %-16s  %s",
		s.Dim(fmt.Sprintf("%8d", event.Seq)), event.Time.Local().Format(time.TimeOnly),
		paint(fmt.Sprintf("%-28s", name)), Line(first(event.Project, "-")), Line(event.ID))
	if details := Details(event); details != "" {
		line += "  " + s.Dim(details)
	}
	return strings.TrimRight(line, " ")
}

// Details is what is worth knowing of an event beside its name.
func Details(event Event) string {
	op := event.Operation
	if op == nil {
		budget := ""
		// An event of a key need not show its budget.
		if event.Type == contract.TypeProjectBudgeted && (event.Budget != nil || event.Entity == contract.EntityProject) {
			budget = Budget(event.Budget)
		}
		return join(event.Actor, budget)
	}
	switch event.Type {
	case contract.TypePending:
		return join(op.Kind, Changes(op), event.Actor)
	case contract.TypeRunning:
		return join(op.Kind, attempt(op.Attempt, op.Worker()), op.Executor)
	case contract.TypeRetrying:
		return retrying(event)
	case contract.TypeProgressed:
		return join(op.Kind, Progress(op.Result))
	case contract.TypeStepped:
		return join(op.Kind, Steps(op.Build))
	case contract.TypeProvisioned:
		return join(op.Kind, Provisioned(op.Provisioning))
	case contract.TypeApprovalRequested:
		if n := len(op.Approvals); n > 0 {
			asked := op.Approvals[n-1]
			return join(op.Kind, Approval(asked), Expiry(event.Time, asked))
		}
	case contract.TypeApprovalDecided:
		if decided, found := decidedLast(op); found {
			return join(op.Kind, Approval(decided), Decision(decided))
		}
	case contract.TypeCancelRequested:
		if op.CancelCause != nil {
			return join(op.Kind, Failure(op.CancelCause))
		}
	}
	facts := []string{op.Kind, Changes(op)}
	if op.ExitCode != nil {
		facts = append(facts, fmt.Sprintf("exit %d", *op.ExitCode))
	}
	if op.State.Ended() && op.StartedAt != nil {
		facts = append(facts, Took(event.Time, *op))
	}
	if op.Failure != nil {
		facts = append(facts, Failure(op.Failure))
	}
	return join(facts...)
}

// Failure is a failure's class and message on one line.
func Failure(failure *contract.Failure) string {
	return fmt.Sprintf("%s: %s", Line(string(failure.Class)), Cut(Line(failure.Message), 200))
}
