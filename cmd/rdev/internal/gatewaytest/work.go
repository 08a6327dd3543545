package gatewaytest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func (g *Gateway) workRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /work", g.addWork)
	mux.HandleFunc("POST /work/bulk", g.addAllWork)
	mux.HandleFunc("GET /work", func(w http.ResponseWriter, r *http.Request) {
		g.list(w, r, "work", contract.WorkPrefix, func(op contract.Operation) bool { return op.Work != nil })
	})
	mux.HandleFunc("GET /work/stats", g.workStats)
	mux.HandleFunc("GET /work/{id}", g.work(g.getOperation))
	mux.HandleFunc("POST /work/{id}/cancel", g.work(g.cancelOperation))
	mux.HandleFunc("POST /work/{id}/retry", g.work(g.retryWork))
}

// work does with an operation what it does, if that is work.
func (g *Gateway) work(do http.HandlerFunc) http.HandlerFunc {
	return g.only("work", func(op contract.Operation) bool { return op.Work != nil }, do)
}

// only does with an operation what it does, if that is what is wanted.
func (g *Gateway) only(what string, is func(contract.Operation) bool, do http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		g.mu.Lock()
		op := g.find(id)
		known := op != nil && is(op.now)
		g.mu.Unlock()
		if !known {
			notFound(w, what, id)
			return
		}
		do(w, r)
	}
}

// refusal is a problem that is not written yet.
type refusal struct {
	Status int                   `json:"status"`
	Code   string                `json:"code"`
	Detail string                `json:"detail"`
	Fields []contract.FieldError `json:"errors"`
}

// queue makes a piece of work of a request, or refuses it. Workers that are free play
// it at once, with the words of createCommand; a pause between tries takes no time.
// Beyond them it waits until one is free, by priority and age, and where it has to wait
// for its time it waits for ever.
func (g *Gateway) queue(key string, body []byte) (op *operation, replayed bool, wrong *refusal) {
	var request struct {
		Kind, Project string
		Artifacts     []string
	}
	command, shell := &contract.Command{}, &contract.Shell{}
	work := &contract.Work{Priority: contract.PriorityNormal, MaxAttempts: 1, Backoff: contract.Duration(contract.DefaultBackoff)}
	for _, part := range []any{&request, command, shell, work} {
		if err := json.Unmarshal(body, part); err != nil {
			return nil, false, &refusal{http.StatusBadRequest, "INVALID_REQUEST", err.Error(), nil}
		}
	}
	if shell.Script != "" || len(shell.Argv) > 0 {
		command.Shell = shell
	}
	work.Files.Artifacts = request.Artifacts
	invalid := func(field, why string) *refusal {
		return &refusal{http.StatusBadRequest, "INVALID_REQUEST", "the request is not valid", []contract.FieldError{{Field: field, Message: why}}}
	}
	switch {
	case !slices.Contains(contract.WorkKinds(), request.Kind):
		return nil, false, invalid("kind", "must be one of build, test, deploy, custom")
	case (command.Shell == nil) == (command.Agent == nil):
		return nil, false, invalid("argv", "is required, or script or agent instead of it")
	case !slices.Contains(g.projects, request.Project):
		return nil, false, &refusal{http.StatusNotFound, "NOT_FOUND", fmt.Sprintf("there is no project %q", request.Project), nil}
	}
	if work.Delay > 0 {
		work.RunAt = new(time.Now().UTC().Add(time.Duration(work.Delay)))
	}
	for _, other := range g.operations {
		if work.UniqueKey != "" && !other.now.State.Ended() && other.now.Work != nil && other.now.Work.UniqueKey == work.UniqueKey && other.now.Project == request.Project {
			return other, true, nil
		}
	}
	op, replayed = g.enqueue(key, contract.Operation{
		Kind: contract.WorkPrefix + request.Kind, Project: request.Project, Command: command, Work: work, Lane: contract.WorkLane(),
	})
	return op, replayed, nil
}

func (g *Gateway) enqueue(key string, wanted contract.Operation) (op *operation, replayed bool) {
	if op, replayed = g.make(key, wanted); replayed {
		return op, true
	}
	op.play = g.carryOut
	if op.now.Held {
		g.ask(op, contract.Approval{ID: contract.ApprovalStart, Title: titleOf(op.now.Command)})
	}
	return op, false
}

// carryOut has free workers play the work whose turn it is, and builds go on, until
// nothing is left.
func (g *Gateway) carryOut() {
	for {
		worker, op := g.freeWorker(), g.nextWork()
		if worker == nil || op == nil {
			if !g.advanceBuilds() {
				return
			}
			continue
		}
		op.now.Lane, op.now.AttemptAt = contract.WorkerLane(worker.id), new(g.clock())
		g.change(op, contract.TypeRunning)
		if from := op.now.Work.Repository; from != nil {
			op.say(contract.OutputStderr, "checked out "+cmp.Or(from.Ref, "HEAD")+"\n")
		}
		switch {
		case op.now.Command.Agent != nil:
			g.playAgent(op, op.now.Command.Agent, nil)
		case op.now.Command.Shell != nil:
			g.playShell(op, words(op.now.Command.Shell))
		default: // an image, or a deployment
			g.end(op, contract.TypeCompleted, 0, nil)
		}
	}
}

// nextWork is the work whose turn it is, nil for none.
func (g *Gateway) nextWork() *operation {
	var next *operation
	order := []contract.Priority{contract.PriorityHigh, contract.PriorityNormal, contract.PriorityLow}
	for _, op := range g.operations {
		if op.now.Work == nil || op.now.State != contract.Pending || op.now.Held || delayed(op.now) {
			continue
		}
		if next == nil || slices.Index(order, op.now.Work.Priority) < slices.Index(order, next.now.Work.Priority) {
			next = op
		}
	}
	return next
}

// delayed tells whether work waits for the time that it was asked to wait for.
func delayed(op contract.Operation) bool {
	return op.State == contract.Pending && len(op.Work.Tries) == 0 && op.Work.RunAt != nil && op.Work.RunAt.After(time.Now())
}

func (g *Gateway) addWork(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op, replayed, wrong := g.queue(r.Header.Get("Idempotency-Key"), readBody(r))
	if wrong != nil {
		problem(w, wrong.Status, wrong.Code, wrong.Detail, wrong.Fields...)
		return
	}
	g.answerQueued(w, op, replayed)
}

// answerQueued answers with work as it is, and has it carried out.
func (g *Gateway) answerQueued(w http.ResponseWriter, op *operation, replayed bool) {
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/operations/"+op.now.ID)
	answer(w, http.StatusAccepted, op.now)
	g.carryOut()
}

func (g *Gateway) addAllWork(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var body struct{ Items []json.RawMessage }
	if err := json.Unmarshal(readBody(r), &body); err != nil || len(body.Items) == 0 || len(body.Items) > 500 {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "items must be 1 to 500")
		return
	}
	outcomes := []map[string]any{}
	for i, item := range body.Items {
		op, _, wrong := g.queue(r.Header.Get("Idempotency-Key")+"/"+strconv.Itoa(i), item)
		if wrong != nil {
			outcomes = append(outcomes, map[string]any{"error": wrong})
			continue
		}
		outcomes = append(outcomes, map[string]any{"operation": op.now})
	}
	answer(w, http.StatusOK, map[string]any{"items": outcomes})
	g.carryOut()
}

func (g *Gateway) retryWork(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.find(r.PathValue("id")).now
	if !old.State.Ended() {
		problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("work %s has not ended: it is %s", old.ID, old.State))
		return
	}
	work := *old.Work
	work.RetryOf, work.Tries, work.RunAt, work.Delay = old.ID, nil, nil, 0
	op, replayed := g.enqueue(r.Header.Get("Idempotency-Key"), contract.Operation{
		Kind: old.Kind, Project: old.Project, Command: old.Command, Work: &work, Lane: contract.WorkLane(),
	})
	g.answerQueued(w, op, replayed)
}

// workStats counts what there is; everything has happened within the hour.
func (g *Gateway) workStats(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	type counts struct {
		Queued  int `json:"queued"`
		Delayed int `json:"delayed"`
		Running int `json:"running"`
	}
	all, ended, retried := counts{}, map[contract.State]int{}, 0
	projects, kinds, workers := map[string]counts{}, map[string]counts{}, map[string]map[string]any{}
	for _, worker := range g.workers {
		workers[worker.id] = map[string]any{"operation": nil, "completed": 0, "failed": 0}
	}
	oldest := 0.0
	for _, op := range g.operations {
		now, project := op.now, r.URL.Query().Get("project")
		if now.Work == nil || (project != "" && project != now.Project) {
			continue
		}
		retried += len(now.Work.Tries)
		kind := now.Kind[len(contract.WorkPrefix):]
		n := counts{}
		switch {
		case now.State.Ended():
			ended[now.State]++
			if count, known := workers[now.Lane.Key][string(now.State)].(int); known {
				workers[now.Lane.Key][string(now.State)] = count + 1
			}
			continue
		case now.State == contract.Running:
			n.Running = 1
			workers[now.Lane.Key]["operation"] = now.ID
		case delayed(now):
			n.Delayed = 1
		default:
			n.Queued, oldest = 1, max(oldest, g.clock().Sub(now.CreatedAt).Seconds())
		}
		sum := func(to counts) counts {
			return counts{to.Queued + n.Queued, to.Delayed + n.Delayed, to.Running + n.Running}
		}
		all, projects[now.Project], kinds[kind] = sum(all), sum(projects[now.Project]), sum(kinds[kind])
	}
	answer(w, http.StatusOK, map[string]any{
		"queued": all.Queued, "delayed": all.Delayed, "running": all.Running, "oldest_age_seconds": oldest,
		"completed": ended[contract.Completed], "failed": ended[contract.Failed], "cancelled": ended[contract.Cancelled], "retried": retried,
		"throughput_per_minute": float64(ended[contract.Completed]+ended[contract.Failed]) / 60, "wait_seconds": map[string]float64{"p50": 0.25, "p95": 125},
		"by_project": projects, "by_kind": kinds, "by_worker": workers,
	})
}
