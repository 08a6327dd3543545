package gatewaytest

import (
	"net/http"

	"github.com/orchard9/rdev/libs/contract"
)

// worker carries work out, a piece at a time.
type worker struct {
	id    string
	state contract.WorkerState
}

func (g *Gateway) workerRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /workers", g.listWorkers)
	mux.HandleFunc("POST /workers/{worker}/drain", g.changeWorker(contract.WorkerDraining))
	mux.HandleFunc("POST /workers/{worker}/resume", g.changeWorker(contract.WorkerReady))
}

// busyWith is what a worker carries out, nil for nothing.
func (g *Gateway) busyWith(w *worker) *operation {
	for _, op := range g.operations {
		if op.now.State == contract.Running && op.now.Worker() == w.id {
			return op
		}
	}
	return nil
}

// freeWorker is one that takes work, nil for none.
func (g *Gateway) freeWorker() *worker {
	for _, w := range g.workers {
		if w.state == contract.WorkerReady && g.busyWith(w) == nil {
			return w
		}
	}
	return nil
}

func (w *worker) describe() map[string]any {
	return map[string]any{
		"id": w.id, "state": w.state, "rev": 1, "workspace": "/srv/workers/" + w.id, "runtime": "local", "created_at": "2026-11-25T10:00:00Z",
	}
}

// describeWorker is a worker and what it does.
func (g *Gateway) describeWorker(w *worker) map[string]any {
	described := w.describe()
	described["operation"], described["project"], described["since"] = nil, nil, nil
	if op := g.busyWith(w); op != nil {
		described["operation"], described["project"], described["since"] = op.now.ID, op.now.Project, op.now.AttemptAt
	}
	return described
}

func (g *Gateway) listWorkers(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []map[string]any{}
	for _, worker := range g.workers {
		list = append(list, g.describeWorker(worker))
	}
	answer(w, http.StatusOK, map[string]any{"workers": list})
}

func (g *Gateway) changeWorker(to contract.WorkerState) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, worker := range g.workers {
			if worker.id == r.PathValue("worker") {
				worker.state = to
				answer(w, http.StatusOK, worker.describe())
				g.carryOut()
				return
			}
		}
		notFound(w, "worker", r.PathValue("worker"))
	}
}
