package gatewaytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func (g *Gateway) approvalRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /approvals", g.listApprovals)
	mux.HandleFunc("POST /operations/{id}/approvals/{approval}", g.decideApproval)
}

// Expire lets the time of an open approval run out.
func (g *Gateway) Expire(operation, approval string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	op := g.find(operation)
	if op == nil {
		return fmt.Errorf("operation %s: %w", operation, contract.ErrNotFound)
	}
	a, _ := op.now.Approval(approval)
	return g.decide(op, contract.OperationApprovalDecided{
		Approval: approval, State: a.Default, By: contract.ApprovalActor, Comment: "nobody decided within 24h0m0s",
	})
}

// ask opens an approval of an operation, which has the limits of its command.
func (g *Gateway) ask(op *operation, wanted contract.Approval) {
	a := contract.NewApproval(op.now, wanted.ID, time.Now().UTC())
	a.Tool, a.ToolCall, a.Title, a.Input = wanted.Tool, wanted.ToolCall, wanted.Title, wanted.Input
	_ = g.apply(op, contract.OperationApprovalRequested{Approval: a})
}

// decide ends an approval, and lets the operation go on as that says.
func (g *Gateway) decide(op *operation, decision contract.OperationApprovalDecided) error {
	decision.At = time.Now().UTC()
	if err := g.apply(op, decision); err != nil {
		return err
	}
	switch {
	case decision.Approval != contract.ApprovalStart:
		if !op.now.Waits() {
			op.goOn()
		}
	case decision.State == contract.ApprovalApproved:
		op.play()
	case decision.By == contract.ApprovalActor:
		op.now.Failure = contract.NewFailure(contract.ClassTimeout, "it was not approved: %s", decision.Comment)
		g.change(op, contract.TypeFailed)
	default:
		g.change(op, contract.TypeCancelled)
	}
	g.carryOut()
	return nil
}

// apply appends what the contract makes of a change that change knows nothing of.
func (g *Gateway) apply(op *operation, change contract.Change) error {
	next, err := contract.Next(&op.now, change)
	if err != nil {
		return err
	}
	next.Rev--
	op.now = next
	g.change(op, change.Type())
	return nil
}

func (g *Gateway) decideApproval(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var body struct{ Decision, Comment string }
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	op := g.find(r.PathValue("id"))
	if op == nil {
		notFound(w, "operation", r.PathValue("id"))
		return
	}
	state := contract.ApprovalDenied
	if body.Decision == "approve" {
		state = contract.ApprovalApproved
	}
	request := r.Header.Get("Idempotency-Key")
	now, _ := op.now.Approval(r.PathValue("approval"))
	if now.Request == request && now.State == state {
		answer(w, http.StatusOK, op.now)
		return
	}
	err := g.decide(op, contract.OperationApprovalDecided{
		Approval: r.PathValue("approval"), State: state, By: "key:" + g.bearer(secretOf(r)).Name, Comment: body.Comment, Request: request,
	})
	switch {
	case errors.Is(err, contract.ErrNotFound):
		notFound(w, "approval", r.PathValue("approval"))
	case now.DecidedBy != "":
		problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("the approval was %s by %s", now.State, now.DecidedBy))
	case err != nil:
		problem(w, http.StatusConflict, "CONFLICT", err.Error())
	default:
		answer(w, http.StatusOK, op.now)
	}
}

func (g *Gateway) listApprovals(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	type open struct {
		Operation string            `json:"operation"`
		Project   string            `json:"project"`
		Kind      string            `json:"kind"`
		Actor     string            `json:"actor"`
		Approval  contract.Approval `json:"approval"`
	}
	query, list := r.URL.Query(), []open{}
	for _, op := range g.operations {
		for _, a := range op.now.Approvals {
			if a.State == contract.ApprovalOpen && (query.Get("project") == "" || query.Get("project") == op.now.Project) {
				list = append(list, open{op.now.ID, op.now.Project, op.now.Kind, op.now.Actor, a})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b open) int { return a.Approval.ExpiresAt.Compare(b.Approval.ExpiresAt) })
	place := func(o open) string { return o.Operation + "/" + o.Approval.ID }
	if cursor := query.Get("cursor"); cursor != "" {
		list = list[slices.IndexFunc(list, func(o open) bool { return place(o) == cursor })+1:]
	}
	limit, next := contract.DefaultPage, any(nil)
	if given := query.Get("limit"); given != "" {
		_, _ = fmt.Sscan(given, &limit)
	}
	if len(list) > limit {
		list = list[:limit]
		next = place(list[limit-1])
	}
	answer(w, http.StatusOK, map[string]any{"approvals": list, "next_cursor": next})
}
