package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
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

// operationID is the id in the path. One that cannot be an operation's names
// nothing, and must not become part of a subject.
func operationID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "id")
	if !isOperationID(id) {
		return "", &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no operation %q", id)}
	}
	return id, nil
}

// isOperationID tells whether an operation can have an id: a UUID, or that of a build and
// the place of a step in it.
func isOperationID(id string) bool {
	const length = 36 // of a UUID
	if len(id) <= length {
		return validate.IsID(id)
	}
	place, err := strconv.ParseUint(id[length+1:], 10, 8)
	return validate.IsID(id[:length]) && id[length] == '-' && err == nil && place > 0
}

// load reads an operation from the log, or from the audit once the log has
// forgotten it.
func (h *handlers) load(ctx context.Context, id string) (contract.Operation, error) {
	op, err := h.Log.Load(ctx, id)
	if errors.Is(err, contract.ErrNotFound) {
		op, err = h.Queries.Operation(ctx, id)
		var problem *contract.Error
		if errors.As(err, &problem) && problem.Code == contract.CodeNotFound {
			problem.Detail = "there is no operation " + id
		}
	}
	return op, err
}

// loadSeen is load of an operation that the request's key may see.
func (h *handlers) loadSeen(ctx context.Context, r *http.Request, id string) (contract.Operation, error) {
	op, err := h.load(ctx, id)
	if err != nil {
		return op, err
	}
	return op, requireProject(passOf(r), op.Project)
}

// loadSort is loadSeen of operations of one sort. What is none of it is told by none.
func (h *handlers) loadSort(ctx context.Context, r *http.Request, id string, is func(contract.Operation) bool, none func(id string) error) (contract.Operation, error) {
	op, err := h.load(ctx, id)
	if known, ok := errors.AsType[*contract.Error](err); ok && known.Code == contract.CodeNotFound || err == nil && !is(op) {
		return op, none(id)
	}
	if err != nil {
		return op, err
	}
	return op, requireProject(passOf(r), op.Project)
}

func (h *handlers) getOperation(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	if value := r.URL.Query().Get("as_of_seq"); value != "" {
		op, err := h.asOf(ctx, r, id)
		if err != nil {
			return err
		}
		if err := requireProject(passOf(r), op.Project); err != nil {
			return err
		}
		writeOperation(w, http.StatusOK, op)
		return nil
	}
	op, err := h.loadSeen(ctx, r, id)
	if err != nil {
		return err
	}
	writeOperation(w, http.StatusOK, h.awaitPreferred(w, r, op))
	return nil
}

// asOf folds an operation's history up to a sequence.
func (h *handlers) asOf(ctx context.Context, r *http.Request, id string) (contract.Operation, error) {
	var none contract.Operation
	seq, err := queryUint(r, "as_of_seq")
	if err != nil {
		return none, err
	}
	events, err := h.history(ctx, id)
	if err != nil {
		return none, err
	}
	var folded *contract.Operation
	for _, event := range events {
		if event.Seq <= seq && !event.Ignored {
			folded = event.Operation
		}
	}
	if folded == nil {
		return none, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there was no operation %s yet at sequence %d", id, seq)}
	}
	return *folded, nil
}

func (h *handlers) cancelOperation(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, _ app.Asker) (app.Accepted, error) {
		if err := h.requireOperation(ctx, r, id); err != nil {
			return app.Accepted{}, err
		}
		return h.App.Cancel(ctx, id)
	})
}

// queryUint is a sequence in the query, 0 where there is none.
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
