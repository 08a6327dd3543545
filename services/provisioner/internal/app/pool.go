package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// WorkerPods are the pods of workers, in a cluster.
type WorkerPods interface {
	// List tells of all that rdev made.
	List(ctx context.Context) ([]WorkerPod, error)
	// Create makes the pod of a new worker, and does not wait for it.
	Create(ctx context.Context, worker string) error
	// Delete has a pod go, and does not wait for that. One that is gone is fine.
	Delete(ctx context.Context, worker string) error
}

// Workers is the log of workers.
type Workers interface {
	// UpdateWorker is UpdateProject for a worker.
	UpdateWorker(ctx context.Context, id string, decide func(*contract.Worker) (eventType string, proposed contract.Worker, err error)) (contract.Worker, error)
}

// WorkQueue knows what waits for workers, and what they do.
type WorkQueue interface {
	// Load tells of all workers that the log had when it was asked.
	Load(ctx context.Context) (contract.WorkLoad, error)
}

// Pool keeps as many workers as there is work for. One process does it at a time; it
// holds nothing that the next one would need.
type Pool struct {
	Pods      WorkerPods
	Workers   Workers
	Queue     WorkQueue
	Workspace string // of a worker, in its pod
	Settings  PoolSettings
	Log       *slog.Logger

	seen map[string]sighting // by worker
}

// sighting is how a worker was when it was seen last, and since when it has rested.
type sighting struct {
	state contract.WorkerState
	tasks int
	rests time.Time // zero where it worked
}

const (
	poolEvery = time.Second
	// noPoolEvery is how often is looked for what is left of a pool.
	noPoolEvery = 15 * time.Second
	// poolAgain is the pause after something failed.
	poolAgain = 5 * time.Second
	// poolTurn bounds one turn.
	poolTurn = 30 * time.Second
)

// Run keeps the pool until ctx is done.
func (p *Pool) Run(ctx context.Context) error {
	every := poolEvery
	if p.Settings.Max == 0 {
		every = noPoolEvery
	}
	p.seen = map[string]sighting{}
	for {
		pause := every
		if err := p.turn(ctx); err != nil && ctx.Err() == nil {
			p.Log.Warn("the pool of workers is looked at again", "error", err)
			pause = max(poolAgain, every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// turn does what is to be done now.
func (p *Pool) turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, poolTurn)
	defer cancel()
	// A pod is there before its worker is in the log, so a worker of this load without
	// a pod in this list has none any more.
	load, err := p.Queue.Load(ctx)
	if err != nil {
		return fmt.Errorf("load of the work queue: %w", err)
	}
	pods, err := p.Pods.List(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, step := range planPool(pods, load, p.see(load, now), p.Settings, now) {
		if err := p.do(ctx, step); err != nil {
			return fmt.Errorf("%s worker %s, as %s: %w", step.deed, step.worker, step.why, err)
		}
	}
	return nil
}

// see tells since when each worker has been seen at rest: in one state, and without
// having begun anything.
func (p *Pool) see(load contract.WorkLoad, now time.Time) map[string]time.Time {
	seen, rests := map[string]sighting{}, map[string]time.Time{}
	for _, worker := range load.Workers {
		was := p.seen[worker.ID]
		// One gateway may have read more of the log than another, which has forgotten some.
		is := sighting{state: worker.State, tasks: max(was.tasks, worker.Tasks)}
		if worker.Operation == "" {
			is.rests = now
			if was.state == is.state && was.tasks == is.tasks && !was.rests.IsZero() {
				is.rests = was.rests
			}
			rests[worker.ID] = is.rests
		}
		seen[worker.ID] = is
	}
	p.seen = seen
	return rests
}

func (p *Pool) do(ctx context.Context, s step) (err error) {
	did := true
	switch s.deed {
	case deedAnnounce:
		did, err = p.announce(ctx, s.worker)
	case deedDrain:
		did, err = p.tell(ctx, s.worker, contract.TypeWorkerDraining)
	case deedWithdraw:
		did, err = p.tell(ctx, s.worker, contract.TypeWorkerGone)
	case deedRemove:
		err = p.Pods.Delete(ctx, s.worker)
	case deedAdd:
		s.worker = "worker-" + strings.ToLower(rand.Text()[:12])
		err = p.Pods.Create(ctx, s.worker)
	}
	if err == nil && did {
		p.Log.Info("worker", "deed", s.deed, "worker", s.worker, "reason", s.why)
	}
	return err
}

// announce has the log know a worker whose pod is ready. That of one that was gone
// before is never used again.
func (p *Pool) announce(ctx context.Context, id string) (did bool, err error) {
	gone := false
	_, err = p.Workers.UpdateWorker(ctx, id, func(now *contract.Worker) (string, contract.Worker, error) {
		did, gone = now == nil, now != nil && now.State == contract.WorkerGone
		if !did {
			return "", *now, nil
		}
		return contract.TypeWorkerReady, contract.Worker{
			ID: id, Runtime: contract.RuntimeKube, Workspace: p.Workspace, CreatedAt: time.Now().UTC(),
		}, nil
	})
	if err == nil && gone {
		err = p.Pods.Delete(ctx, id)
	}
	return did, err
}

// tell has the log know that a worker drains, or is gone, unless it knows that already
// or more.
func (p *Pool) tell(ctx context.Context, id, eventType string) (did bool, err error) {
	_, err = p.Workers.UpdateWorker(ctx, id, func(now *contract.Worker) (string, contract.Worker, error) {
		did = now != nil && now.State != contract.WorkerGone && string(now.State) != eventType
		if !did {
			return "", contract.Worker{}, nil
		}
		return eventType, *now, nil
	})
	return did, err
}
