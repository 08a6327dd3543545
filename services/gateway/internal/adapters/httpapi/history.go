package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// historyEvent is an event of an operation as the API shows it.
type historyEvent struct {
	contract.OperationEvent

	Operation *Operation `json:"operation"`
}

func (h *handlers) getHistory(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	if err := h.requireOperation(r.Context(), r, id); err != nil {
		return err
	}
	events, err := h.history(r.Context(), id)
	if err != nil {
		return err
	}
	views := make([]historyEvent, 0, len(events))
	for _, e := range events {
		shown := historyEvent{OperationEvent: e}
		if e.Operation != nil {
			operation := buildSummary(*e.Operation) // of a large build all else would come a hundred times
			shown.Operation = &operation
		}
		views = append(views, shown)
	}
	api.Write(w, http.StatusOK, map[string]any{"events": views})
	return nil
}

// history reads what happened to an operation: from the log, or from the audit
// once the log has forgotten it.
func (h *handlers) history(ctx context.Context, id string) ([]contract.OperationEvent, error) {
	stored, err := h.Log.History(ctx, contract.EntityOperation, id, 0)
	if errors.Is(err, contract.ErrNotFound) {
		return h.auditedHistory(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	events := make([]contract.OperationEvent, 0, len(stored))
	var folded bus.Fold
	for _, e := range stored {
		snapshot, legal := folded.Add(e)
		events = append(events, contract.OperationEvent{
			Seq: e.Seq, Type: e.Type, Time: e.Time, Actor: e.Actor, Ignored: !legal, Operation: snapshot,
		})
	}
	return events, nil
}

func (h *handlers) auditedHistory(ctx context.Context, id string) ([]contract.OperationEvent, error) {
	var events []contract.OperationEvent
	var after uint64
	for {
		page, err := h.Queries.OperationHistory(ctx, contract.GetOperationHistory{ID: id, AfterSeq: after})
		if err != nil {
			return nil, err
		}
		events = append(events, page.Events...)
		if !page.More || len(page.Events) == 0 {
			return events, nil
		}
		after = page.Events[len(page.Events)-1].Seq
	}
}
