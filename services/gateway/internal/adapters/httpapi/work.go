package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

const (
	// maxBulk is how many items a request may have.
	maxBulk = 500
	// timeoutBulk is for the acceptance of so many.
	timeoutBulk = 20 * time.Second
)

// runWork is limited by how many items may wait, and not by how many come in a minute.
func (h *handlers) runWork(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[WorkRequest](w, r)
	if err != nil {
		return err
	}
	item, err := request.item(time.Now())
	if err != nil {
		return err
	}
	if err := requireProject(passOf(r), item.Project); err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.RunWork(ctx, asker, item)
	})
}

// bulkRequest is the body of POST /work/bulk.
type bulkRequest struct {
	Items []WorkRequest `json:"items"`
}

// bulkOutcome is what came of an item: one of both.
type bulkOutcome struct {
	Operation *Operation      `json:"operation,omitempty"`
	Error     *contract.Error `json:"error,omitempty"`
}

func (h *handlers) runBulkWork(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[bulkRequest](w, r)
	if err != nil {
		return err
	}
	v := validate.New()
	v.Checkf("items", len(request.Items) > 0 && len(request.Items) <= maxBulk, "must be from 1 to %d", maxBulk)
	if err := v.Err(); err != nil {
		return err
	}
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	wanted, wrong := items(request.Items, time.Now())
	for i, item := range wanted {
		if item == nil {
			continue
		}
		if err := requireProject(passOf(r), item.Project); err != nil {
			wanted[i], wrong[i] = nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeoutBulk)
	defer cancel()
	accepted, refused := h.App.RunAllWork(ctx, asker, wanted)
	outcomes := make([]bulkOutcome, len(wanted))
	for i, item := range wanted {
		err := wrong[i]
		if item != nil {
			err = refused[i]
		}
		if err == nil {
			op := view(accepted[i].Operation)
			outcomes[i].Operation = &op
			continue
		}
		if outcomes[i].Error = h.problemOf(err); outcomes[i].Error == nil {
			return err
		}
	}
	api.Write(w, http.StatusOK, map[string]any{"items": outcomes})
	return nil
}

// listWork is listOperations of work alone.
func (h *handlers) listWork(w http.ResponseWriter, r *http.Request) error {
	query, err := listOperationsQuery(r)
	if err != nil {
		return err
	}
	kind := query.Kind
	if kind == "" {
		query.Kind = contract.WorkPrefix + "*"
	} else {
		v := validate.New()
		v.OneOf("kind", kind, contract.WorkKinds()...)
		if err := v.Err(); err != nil {
			return err
		}
		query.Kind = contract.WorkPrefix + kind
	}
	page, err := h.operations(r, query)
	if err != nil {
		return err
	}
	writeSeen(w, page.ProjectedSeq, page.Stale)
	api.Write(w, http.StatusOK, map[string]any{"work": viewAll(page.Operations), "next_cursor": page.NextCursor})
	return nil
}

// loadWork reads the work in the path, which the key may see.
func (h *handlers) loadWork(ctx context.Context, r *http.Request) (contract.Operation, error) {
	id := chi.URLParam(r, "work")
	if !isOperationID(id) {
		return contract.Operation{}, app.NoWork(id)
	}
	return h.loadSort(ctx, r, id, func(op contract.Operation) bool { return op.Work != nil }, app.NoWork)
}

func (h *handlers) getWork(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	op, err := h.loadWork(ctx, r)
	if err != nil {
		return err
	}
	writeOperation(w, http.StatusOK, h.awaitPreferred(w, r, op))
	return nil
}

func (h *handlers) cancelWork(w http.ResponseWriter, r *http.Request) error {
	return h.accept(w, r, func(ctx context.Context, _ app.Asker) (app.Accepted, error) {
		op, err := h.loadWork(ctx, r)
		if err != nil {
			return app.Accepted{}, err
		}
		return h.App.Cancel(ctx, op.ID)
	})
}

func (h *handlers) retryWork(w http.ResponseWriter, r *http.Request) error {
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		op, err := h.loadWork(ctx, r)
		if err != nil {
			return app.Accepted{}, err
		}
		return h.App.RetryWork(ctx, asker, op)
	})
}

func (h *handlers) workStats(w http.ResponseWriter, r *http.Request) error {
	pass, project := passOf(r), r.URL.Query().Get("project")
	if project != "" {
		if err := requireProject(pass, project); err != nil {
			return err
		}
	}
	seen := func(of string) bool { return pass.Sees(of) && (project == "" || project == of) }
	api.Write(w, http.StatusOK, h.Work.Report(time.Now(), pass.Everywhere() && project == "", seen))
	return nil
}

func (h *handlers) listWorkers(w http.ResponseWriter, r *http.Request) error {
	api.Write(w, http.StatusOK, map[string]any{"workers": h.Work.Workers(passOf(r).Sees)})
	return nil
}

func (h *handlers) drainWorker(w http.ResponseWriter, r *http.Request) error {
	return h.changeWorker(w, r, contract.TypeWorkerDraining)
}

func (h *handlers) resumeWorker(w http.ResponseWriter, r *http.Request) error {
	return h.changeWorker(w, r, contract.TypeWorkerReady)
}

func (h *handlers) changeWorker(w http.ResponseWriter, r *http.Request, to string) error {
	worker, err := h.App.ChangeWorker(r.Context(), chi.URLParam(r, "worker"), to)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, worker)
	return nil
}
