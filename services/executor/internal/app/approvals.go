package app

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

// approvals makes what an agent asks for approvals of its operation, and tells the
// agent what was decided. It goes by what there is now, so that it may be called at
// any time and by any attempt: an answer that comes twice is harmless.
func (w *watch) approvals(ctx context.Context, op contract.Operation) error {
	r, ok := w.relay.(*agentRelay)
	if !ok {
		return nil
	}
	for _, request := range r.requests() {
		a, known := op.Approval(request.ID)
		var err error
		switch {
		case !known:
			op, err = w.request(ctx, request)
		case a.State == contract.ApprovalApproved || a.State == contract.ApprovalDenied:
			err = w.answer(ctx, r, a)
		}
		if err != nil {
			return err
		}
	}
	for _, a := range op.Approvals {
		if a.State == contract.ApprovalOpen && r.settled(a.ID) {
			if err := w.withdraw(ctx, a.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// request asks for an approval. Where too many are open it waits for a decision.
func (w *watch) request(ctx context.Context, request agents.Request) (contract.Operation, error) {
	op, err := w.mine(ctx, func(op contract.Operation) contract.Change {
		if _, known := op.Approval(request.ID); known || op.OpenApprovals() >= contract.MaxOpenApprovals {
			return nil
		}
		e := request.Event
		a := contract.NewApproval(op, request.ID, time.Now().UTC())
		a.Tool, a.ToolKind, a.ToolCall, a.Title = e.Tool, e.ToolKind, e.ToolCall, e.Message
		if a.Input = e.Input; len(a.Input) > contract.MaxApprovalInput {
			a.Input = []byte(`"too large to keep: the agent's event has it"`)
		}
		return contract.OperationApprovalRequested{Attempt: op.Attempt, Approval: a}
	})
	if err == nil {
		w.seen(op)
	}
	return op, err
}

// answer tells the agent what was decided.
func (w *watch) answer(ctx context.Context, r *agentRelay, a contract.Approval) error {
	line := r.answer(a)
	if line == nil {
		return nil // it was told
	}
	if err := w.Runtime.Input(ctx, w.ref, line, false); err != nil {
		return fmt.Errorf("answer approval %s: %w", a.ID, err)
	}
	r.answered(a.ID)
	w.lastHeard.Store(time.Now().UnixNano()) // it was silent for a reason
	return nil
}

// withdraw ends an approval that the agent does not wait for any more.
func (w *watch) withdraw(ctx context.Context, id string) error {
	op, err := w.mine(ctx, func(op contract.Operation) contract.Change {
		if a, ok := op.Approval(id); !ok || a.State != contract.ApprovalOpen {
			return nil
		}
		return contract.OperationApprovalDecided{
			Attempt: op.Attempt, Approval: id, State: contract.ApprovalWithdrawn, By: contract.ApprovalActor, At: time.Now().UTC(),
			Comment: "the agent does not wait for it any more",
		}
	})
	if err == nil {
		w.seen(op)
	}
	return err
}

// mine appends a change of this attempt's operation, and is contract.ErrFenced where
// that is another's.
func (a *attempt) mine(ctx context.Context, change func(contract.Operation) contract.Change) (contract.Operation, error) {
	return a.Operations.Update(ctx, a.op.ID, func(op contract.Operation) (contract.Change, error) {
		if op.Attempt != a.op.Attempt || op.State.Ended() {
			return nil, fmt.Errorf("attempt %d: %w", a.op.Attempt, contract.ErrFenced)
		}
		return change(op), nil
	})
}

// denial is what an agent is told of a decision against it.
func denial(a contract.Approval) string {
	if a.Comment == "" {
		return "denied by " + a.DecidedBy
	}
	return fmt.Sprintf("denied by %s: %s", a.DecidedBy, a.Comment)
}

// The relay is looked at by the watch while it goes on.

// requests are those that the agent waits for; none while what an earlier attempt
// has seen is read again, for they may be long over.
func (r *agentRelay) requests() []agents.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made < r.done {
		return nil
	}
	return r.parser.Requests()
}

func (r *agentRelay) settled(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parser.Settled(id)
}

// answer is what to write to the agent, nil where it was told.
func (r *agentRelay) answer(a contract.Approval) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[a.ID] {
		return nil
	}
	return r.parser.Answer(a.ID, a.State == contract.ApprovalApproved, denial(a))
}

func (r *agentRelay) answered(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[id] = true
}

// asked tells whether the agent's requests are others than they were.
func (r *agentRelay) asked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made < r.done {
		return false
	}
	now := r.parser.Asked()
	changed := now != r.looked
	r.looked = now
	return changed
}
