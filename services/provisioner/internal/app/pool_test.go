package app_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// poolWorld is a cluster, whose pods are ready after a second, and the log of workers.
// The test has it but while it lets time pass.
type poolWorld struct {
	mu      sync.Mutex
	pods    map[string]time.Time // when each was made
	workers map[string]contract.Worker
	tasks   map[string]int
	queued  int
	busy    map[string]string
	fails   error // of the cluster
	// removedReady are pods that were deleted while the log had their worker.
	removedReady []string
}

func (w *poolWorld) List(context.Context) ([]app.WorkerPod, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []app.WorkerPod
	for id, made := range w.pods {
		all = append(all, app.WorkerPod{Worker: id, Since: made, Ready: time.Since(made) >= time.Second})
	}
	return all, w.fails
}

func (w *poolWorld) Create(_ context.Context, worker string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods[worker] = time.Now()
	return nil
}

func (w *poolWorld) Delete(_ context.Context, worker string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.workers[worker].State != contract.WorkerGone {
		w.removedReady = append(w.removedReady, worker)
	}
	delete(w.pods, worker)
	return nil
}

func (w *poolWorld) UpdateWorker(_ context.Context, id string, decide func(*contract.Worker) (string, contract.Worker, error)) (contract.Worker, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var prev *contract.Worker
	if now, there := w.workers[id]; there {
		prev = &now
	}
	eventType, proposed, err := decide(prev)
	if err != nil || eventType == "" {
		return proposed, err
	}
	next, err := contract.NextWorker(prev, eventType, proposed)
	if err == nil {
		w.workers[id] = next
	}
	return next, err
}

func (w *poolWorld) Load(context.Context) (contract.WorkLoad, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	load := contract.WorkLoad{Queued: w.queued}
	if w.queued > 0 {
		load.OldestAge = contract.Duration(time.Minute)
	}
	for id, worker := range w.workers {
		if worker.State != contract.WorkerGone {
			load.Workers = append(load.Workers, contract.WorkerLoad{Worker: worker, Operation: w.busy[id], Tasks: w.tasks[id]})
		}
	}
	return load, nil
}

func (w *poolWorld) count(state contract.WorkerState) (n int) {
	for _, worker := range w.workers {
		if worker.State == state {
			n++
		}
	}
	return n
}

// newPool runs a pool of up to three workers until the test ends.
func newPool(t *testing.T) *poolWorld {
	t.Helper()
	w := &poolWorld{pods: map[string]time.Time{}, workers: map[string]contract.Worker{}, tasks: map[string]int{}, busy: map[string]string{}}
	pool := &app.Pool{
		Pods: w, Workers: w, Queue: w, Workspace: "/workspace", Log: slog.New(slog.DiscardHandler),
		Settings: app.PoolSettings{Max: 3, Idle: time.Minute, Age: time.Second, Patience: time.Minute},
	}
	w.mu.Lock()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	t.Cleanup(func() {
		w.mu.Unlock()
		stop()
		if err := <-done; err != nil || len(w.removedReady) > 0 {
			t.Errorf("%v; removed while they were workers: %v", err, w.removedReady)
		}
	})
	return w
}

// pass lets time go by, and the pool come to rest.
func (w *poolWorld) pass(long time.Duration) {
	w.mu.Unlock()
	time.Sleep(long)
	synctest.Wait()
	w.mu.Lock()
}

func TestThePoolFollowsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPool(t)
		w.pass(time.Minute)
		if len(w.pods) != 0 {
			t.Fatalf("%d pods, and nothing to do", len(w.pods))
		}
		w.queued = 2
		w.pass(5 * time.Second)
		if n := w.count(contract.WorkerReady); n != 2 || len(w.pods) != 2 {
			t.Fatalf("%d workers in %d pods for two pieces of work", n, len(w.pods))
		}
		ids := slices.Sorted(maps.Keys(w.workers))
		w.queued, w.busy[ids[0]] = 0, "op-1"
		// The other is short at work now and then, though never when it is looked at.
		for range 4 {
			w.pass(50 * time.Second)
			w.tasks[ids[1]]++
		}
		if n := w.count(contract.WorkerReady); n != 2 {
			t.Fatalf("%d workers, though both had something to do", n)
		}
		w.pass(2 * time.Minute)
		if w.workers[ids[1]].State != contract.WorkerGone || w.workers[ids[0]].State != contract.WorkerReady || len(w.pods) != 1 {
			t.Errorf("%d pods: %+v", len(w.pods), w.workers)
		}
		delete(w.pods, ids[0]) // somebody deleted it
		w.pass(2 * time.Second)
		if w.workers[ids[0]].State != contract.WorkerGone {
			t.Errorf("its pod is gone, and it is %s", w.workers[ids[0]].State)
		}
	})
}

func TestAWorkerThatIsGoneIsNotAnnouncedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPool(t)
		gone := contract.Worker{ID: "left", State: contract.WorkerGone, Runtime: contract.RuntimeKube}
		w.workers["left"], w.pods["left"] = gone, time.Now()
		w.pass(5 * time.Second)
		if w.workers["left"].State != contract.WorkerGone || len(w.pods) != 0 {
			t.Errorf("it is %s, in %d pods", w.workers["left"].State, len(w.pods))
		}
	})
}

func TestAClusterThatDoesNotAnswerTakesNobodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPool(t)
		w.queued = 1
		w.pass(5 * time.Second)
		w.queued, w.fails = 0, errors.New("no answer")
		pods := w.pods
		w.pods = map[string]time.Time{}
		w.pass(30 * time.Second)
		if n := w.count(contract.WorkerReady); n != 1 {
			t.Errorf("%d workers", n)
		}
		w.pods, w.fails = pods, nil
		w.pass(10 * time.Second)
	})
}
