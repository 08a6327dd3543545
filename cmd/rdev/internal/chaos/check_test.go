package chaos

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// check holds what is left against every promise.
func check(t *testing.T, w *world, l *load, workspaces map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.Patience)
	defer cancel()
	log := readLog(ctx, t, w)
	log.report(t)
	checkEnds(t, log, l)
	for slug, workspace := range workspaces {
		checkJournal(t, log, l, slug, workspace)
	}
	checkOutputs(ctx, t, w, log, l)
	checkAudit(ctx, t, w, log)
	checkNothingLives(t, w.workspaces)
	checkNothingLives(t, w.workers)
}

// history is the log of all operations, folded.
type history struct {
	operations map[string]contract.Operation
	accepted   []string       // in the order of the log
	terminal   map[string]int // terminal events by operation
	last       uint64
}

// readLog folds the log; that every event follows the one before is a promise.
func readLog(ctx context.Context, t *testing.T, w *world) history {
	t.Helper()
	h := history{operations: map[string]contract.Operation{}, terminal: map[string]int{}}
	ctx, done := context.WithCancel(ctx)
	defer done()
	err := w.conn.Follow(ctx, contract.SubjectEventsAll, 0, slog.New(slog.DiscardHandler), func(e bus.Event) error {
		h.last = e.Seq
		if e.Entity == contract.EntityOperation {
			h.add(t, e)
		}
		return nil
	}, done)
	if err != nil || h.last == 0 {
		t.Fatalf("read the log: %v", err)
	}
	return h
}

func (h *history) add(t *testing.T, e bus.Event) {
	t.Helper()
	snapshot, err := e.Operation()
	if err != nil {
		t.Fatal(err)
	}
	var prev *contract.Operation
	if op, ok := h.operations[e.Key]; ok {
		prev = &op
	} else {
		h.accepted = append(h.accepted, e.Key)
	}
	next, err := contract.Fold(prev, e.Type, snapshot)
	if err != nil {
		t.Errorf("event %d of %s: %v", e.Seq, e.Key, err)
	}
	h.operations[e.Key] = next
	if snapshot.State.Ended() {
		h.terminal[e.Key]++
	}
}

func (h *history) report(t *testing.T) {
	t.Helper()
	ends, attempts := map[contract.State]int{}, map[int]int{}
	for _, op := range h.operations {
		ends[op.State]++
		attempts[op.Attempt]++
	}
	t.Logf("ends %v, attempts %v, events %d", ends, attempts, h.last)
}

// checkEnds wants every job to be one operation, which ended once and as its job
// has it.
func checkEnds(t *testing.T, h history, l *load) {
	t.Helper()
	keys := map[string]string{}
	for id, j := range l.jobs {
		if other, twice := keys[j.key]; twice {
			t.Errorf("job %s became operations %s and %s", j.key, id, other)
		}
		keys[j.key] = id
		if _, ok := h.operations[id]; !ok {
			t.Errorf("operation %s was accepted but is not in the log", id)
		}
	}
	for id, op := range h.operations {
		if !op.State.Ended() || h.terminal[id] != 1 {
			t.Errorf("operation %s is %s, with %d terminal events", id, op.State, h.terminal[id])
		}
		j, ok := l.jobs[id]
		if !ok {
			if !strings.HasPrefix(op.Kind, "project.") {
				t.Errorf("nobody asked for operation %s of %s", id, op.Project)
			}
			continue
		}
		checkWorkers(t, op)
		code := -1
		if op.ExitCode != nil {
			code = *op.ExitCode
		}
		switch {
		case op.State == contract.Cancelled && l.cancelled[id]:
		case op.State == contract.Completed && j.code == 0 && code == 0:
		case op.State == contract.Failed && j.code != 0 && code == j.code && op.Failure.Class == contract.ClassUser:
		default:
			t.Errorf("job %s, operation %s, ended %s with exit code %d, failure %+v, attempt %d, want exit code %d; cancel asked: %v",
				j.key, id, op.State, code, op.Failure, op.Attempt, j.code, l.cancelled[id])
		}
	}
}

// checkWorkers wants work to have been done on a worker, and only there.
func checkWorkers(t *testing.T, op contract.Operation) {
	t.Helper()
	if worker := op.Worker(); op.Attempt > 0 && (op.Work != nil) != (worker != "") || op.Work != nil && len(op.Work.Tries) > 0 {
		t.Errorf("operation %s of kind %s was done by the worker %q, after the tries %+v", op.ID, op.Kind, worker, op.Work)
	}
}

// checkOutputs wants the stored output to be what the job printed: all of it,
// or of one that was cancelled, its beginning.
func checkOutputs(ctx context.Context, t *testing.T, w *world, h history, l *load) {
	t.Helper()
	begin := time.Now()
	for id, j := range l.jobs {
		if !h.operations[id].State.Ended() {
			continue // that is told already, and its output has no end
		}
		got, err := w.output(ctx, id)
		if err != nil {
			t.Errorf("job %s: %v", j.key, err)
			continue
		}
		for _, stream := range []string{contract.OutputStdout, contract.OutputStderr} {
			text, want := string(got.text[stream]), j.prints(stream)
			if text != want && (h.operations[id].State != contract.Cancelled || !strings.HasPrefix(want, text)) {
				t.Errorf("job %s, operation %s, %s: %s has %d bytes, want %d, or differs",
					j.key, id, h.operations[id].State, stream, len(text), len(want))
			}
		}
	}
	t.Logf("outputs read in %s", time.Since(begin).Round(time.Millisecond))
}
