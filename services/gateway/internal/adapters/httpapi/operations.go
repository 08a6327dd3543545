package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Operation is an operation as the API shows it.
type Operation struct {
	contract.Operation
	RequestHash *string `json:"request_hash,omitempty"` // not shown
	Links       links   `json:"links"`
}

type links struct {
	Self   string `json:"self"`
	Events string `json:"events"`
	Output string `json:"output"`
}

func view(op contract.Operation) Operation {
	self := "/operations/" + op.ID
	return Operation{Operation: op, Links: links{Self: self, Events: self + "/events", Output: self + "/output"}}
}

func viewAll(ops []contract.Operation) []Operation {
	views := make([]Operation, 0, len(ops))
	for _, op := range ops {
		views = append(views, view(op))
	}
	return views
}

func writeOperation(w http.ResponseWriter, status int, op contract.Operation) {
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, op.Rev))
	w.Header().Set("Rdev-Seq", strconv.FormatUint(op.Seq, 10))
	api.Write(w, status, view(op))
}

// maxWait is the longest that Prefer: wait is honored.
const maxWait = 60 * time.Second

// writeAccepted answers 202 with the operation, or 200 once it has ended where
// the client prefers to wait for that.
func (h *handlers) writeAccepted(w http.ResponseWriter, r *http.Request, accepted app.Accepted) error {
	op := accepted.Operation
	if accepted.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/operations/"+op.ID)
	status := http.StatusAccepted
	if wait, ok := preferredWait(r); ok {
		ctx, cancel := context.WithTimeout(r.Context(), wait)
		defer cancel()
		defer context.AfterFunc(h.stopping, cancel)()
		waited, err := h.log.AwaitEnd(ctx, op)
		if err != nil {
			return err
		}
		op = waited
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
		if op.State.Ended() {
			status = http.StatusOK
		}
	}
	writeOperation(w, status, op)
	return nil
}

func preferredWait(r *http.Request) (time.Duration, bool) {
	for _, header := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(preference), "wait="); ok {
				if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
					return min(time.Duration(seconds)*time.Second, maxWait), true
				}
			}
		}
	}
	return 0, false
}

// operationID is the id in the path. One that cannot be an operation's names
// nothing, and must not become part of a subject.
func operationID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "id")
	if !validate.IsID(id) {
		return "", &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no operation %q", id)}
	}
	return id, nil
}

// load reads an operation from the log, or from the audit once the log has
// forgotten it.
func (h *handlers) load(ctx context.Context, id string) (contract.Operation, error) {
	op, err := h.log.Load(ctx, id)
	if errors.Is(err, contract.ErrNotFound) {
		op, err = h.queries.Operation(ctx, id)
		var problem *contract.Error
		if errors.As(err, &problem) && problem.Code == contract.CodeNotFound {
			problem.Detail = "there is no operation " + id
		}
	}
	return op, err
}

func (h *handlers) getOperation(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	asOf, err := queryUint(r, "as_of_seq")
	if err != nil {
		return err
	}
	if asOf == 0 {
		op, err := h.load(r.Context(), id)
		if err != nil {
			return err
		}
		writeOperation(w, http.StatusOK, op)
		return nil
	}
	op, err := h.asOf(r.Context(), id, asOf)
	if err != nil {
		return err
	}
	writeOperation(w, http.StatusOK, op)
	return nil
}

// asOf folds an operation's history up to a sequence.
func (h *handlers) asOf(ctx context.Context, id string, seq uint64) (contract.Operation, error) {
	events, err := h.log.History(ctx, contract.EntityOperation, id, seq)
	if err != nil {
		return contract.Operation{}, err
	}
	var folded *contract.Operation
	for _, event := range events {
		snapshot, err := event.Operation()
		if err != nil {
			continue // every reader ignores what no writer of ours wrote
		}
		if next, err := contract.Fold(folded, event.Type, snapshot); err == nil {
			folded = &next
		}
	}
	if folded == nil {
		return contract.Operation{}, fmt.Errorf("operation %s as of %d: %w", id, seq, contract.ErrNotFound)
	}
	return *folded, nil
}

func (h *handlers) cancelOperation(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	op, err := h.app.Cancel(r.Context(), id)
	if err != nil {
		return err
	}
	if op.State.Ended() {
		writeOperation(w, http.StatusOK, op)
		return nil
	}
	return h.writeAccepted(w, r, app.Accepted{Operation: op})
}

type historyEvent struct {
	Seq       uint64    `json:"seq"`
	Type      string    `json:"type"`
	Time      time.Time `json:"time"`
	Actor     string    `json:"actor"`
	Operation Operation `json:"operation"`
}

func (h *handlers) getHistory(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	events, err := h.log.History(r.Context(), contract.EntityOperation, id, 0)
	if err != nil {
		return err
	}
	history := make([]historyEvent, 0, len(events))
	for _, e := range events {
		history = append(history, historyEventOf(e))
	}
	api.Write(w, http.StatusOK, map[string]any{"events": history})
	return nil
}

func historyEventOf(e bus.Event) historyEvent {
	op, err := e.Operation()
	if err != nil {
		op = contract.Operation{ID: e.Key, Seq: e.Seq} // published by hand: shown as the little that it is
	}
	return historyEvent{Seq: e.Seq, Type: e.Type, Time: e.Time, Actor: e.Actor, Operation: view(op)}
}

func queryUint(r *http.Request, name string) (uint64, error) {
	value := r.URL.Query().Get(name)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return 0, invalidQuery(name, "must be a number from 0 on")
	}
	return n, nil
}

func invalidQuery(name, message string) error {
	return &contract.Error{
		Code: contract.CodeInvalidRequest, Detail: "query parameter " + name + " " + message,
		Fields: []contract.FieldError{{Field: name, Message: message}},
	}
}
