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
	events, err := h.history(r.Context(), id)
	if err != nil {
		return err
	}
	views := make([]historyEvent, 0, len(events))
	for _, e := range events {
		shown := historyEvent{OperationEvent: e}
		if e.Operation != nil {
			operation := view(*e.Operation)
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
	return foldHistory(stored), nil
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

// foldHistory marks what could not follow: somebody published it past the guard,
// and every reader ignores it.
func foldHistory(stored []bus.Event) []contract.OperationEvent {
	events := make([]contract.OperationEvent, 0, len(stored))
	var folded *contract.Operation
	for _, e := range stored {
		event := contract.OperationEvent{Seq: e.Seq, Type: e.Type, Time: e.Time, Actor: e.Actor, Ignored: true}
		if snapshot, err := e.Operation(); err == nil {
			event.Operation = &snapshot
			if next, err := contract.Fold(folded, e.Type, snapshot); err == nil {
				folded, event.Ignored = &next, false
			}
		}
		events = append(events, event)
	}
	return events
}
