package app

import (
	"cmp"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// PoolSettings bound the pool of workers.
type PoolSettings struct {
	Min, Max int           // workers; Max 0 is no pool
	Idle     time.Duration // for which a worker that is not needed is kept
	Age      time.Duration // that work waits while no worker is free before there is another
	Tasks    int           // after which a worker is replaced, 0 for never
	Patience time.Duration // in which a pod becomes ready
}

// WorkerPod is the pod of a worker. It has the worker's id as its name, and no other
// pod ever has.
type WorkerPod struct {
	Worker   string
	Ready    bool
	Ended    bool      // it runs nothing any more, or soon will not
	Deleting bool      // by whomever
	Outdated bool      // a new one would be another
	Since    time.Time // when it was made, or last became ready or not
	Why      string    // it is not ready
}

const (
	// lostAfter is how long the pod of a worker may not be ready: its machine is gone.
	lostAfter = 30 * time.Second
	// settled is how long a worker that drains has to be seen at rest: what was on
	// its way to it when it was told to drain has arrived by then.
	settled = 5 * time.Second
	// failedFor is how long a pod is left that ended before it was a worker, in place
	// of another that would end the same.
	failedFor = 30 * time.Second
)

// deed is what is to be done about a worker.
type deed string

const (
	deedWithdraw deed = "withdraw" // the log is told that it is gone
	deedRemove   deed = "remove"   // its pod is deleted
	deedAnnounce deed = "announce" // the log is told that it is ready
	deedDrain    deed = "drain"    // it takes nothing more
	deedAdd      deed = "add"      // another is made
)

// step is one deed, and why.
type step struct {
	deed   deed
	worker string // "" for one that is added
	why    string
}

// planPool tells what is to be done, in this order: what is lost comes first, and
// what is new last. rests is since when each worker has been seen doing nothing.
//
//	(no pod) ─add─▶ pod ─announce─▶ ready ─drain─▶ draining ─withdraw─▶ gone ─remove─▶ (no pod)
//	                                  └──────── its pod is lost ─────────┘
func planPool(pods []WorkerPod, load contract.WorkLoad, rests map[string]time.Time, s PoolSettings, now time.Time) []step {
	p := &poolPlan{settings: s, now: now, rests: rests, workers: map[string]contract.WorkerLoad{}}
	for _, worker := range load.Workers {
		if worker.Runtime == contract.RuntimeKube {
			p.workers[worker.ID] = worker
		}
	}
	there := map[string]bool{}
	for _, pod := range pods {
		there[pod.Worker] = true
		p.look(pod)
	}
	for _, worker := range load.Workers {
		if _, mine := p.workers[worker.ID]; mine && !there[worker.ID] && worker.State != contract.WorkerGone {
			p.do(deedWithdraw, worker.ID, "its pod is gone")
		}
	}
	p.shrink()
	p.grow(load)
	return p.steps
}

// poolPlan is a plan in the making.
type poolPlan struct {
	settings PoolSettings
	now      time.Time
	rests    map[string]time.Time
	workers  map[string]contract.WorkerLoad // by id

	steps    []step
	coming   int      // pods that will be workers
	serving  []string // workers that take work, the one that has rested longest first
	free     int      // of them, those that have none
	draining int
}

func (p *poolPlan) do(what deed, worker, why string) {
	p.steps = append(p.steps, step{what, worker, why})
}

// look decides about a pod by itself.
func (p *poolPlan) look(pod WorkerPod) {
	worker, known := p.workers[pod.Worker]
	patience := p.settings.Patience
	if known {
		patience = lostAfter
	}
	switch {
	case pod.Ended && !pod.Deleting && !known && p.now.Sub(pod.Since) < failedFor:
		p.coming++
	case pod.Ended, known && worker.State == contract.WorkerGone, !pod.Ready && p.now.Sub(pod.Since) > patience:
		p.lose(pod, known && worker.State != contract.WorkerGone)
	case !known && pod.Ready:
		p.do(deedAnnounce, pod.Worker, "its pod is ready")
		p.coming++
	case !known:
		p.coming++
	case worker.State == contract.WorkerDraining && p.rested(worker, settled):
		p.do(deedWithdraw, pod.Worker, "it drained")
		p.do(deedRemove, pod.Worker, "it drained")
	case worker.State == contract.WorkerDraining:
		p.draining++
	case pod.Outdated:
		p.drain(pod.Worker, "a new pod would be another")
	case p.settings.Tasks > 0 && worker.Tasks >= p.settings.Tasks:
		p.drain(pod.Worker, "it has done enough")
	default:
		p.serving = append(p.serving, pod.Worker)
		if worker.Operation == "" && pod.Ready {
			p.free++
		}
	}
}

// lose takes the worker of a pod that is of no use out of the log, and the pod away.
func (p *poolPlan) lose(pod WorkerPod, known bool) {
	why := "its pod " + cmp.Or(pod.Why, "is not needed any more")
	if known {
		p.do(deedWithdraw, pod.Worker, why)
	}
	if !pod.Deleting {
		p.do(deedRemove, pod.Worker, why)
	}
}

func (p *poolPlan) drain(worker, why string) {
	p.do(deedDrain, worker, why)
	p.draining++
}

// rested tells whether a worker has done nothing for so long.
func (p *poolPlan) rested(worker contract.WorkerLoad, long time.Duration) bool {
	since, rests := p.rests[worker.ID]
	return rests && worker.Operation == "" && p.now.Sub(since) >= long
}

// shrink drains workers that are not needed: those beyond the most that there may be,
// which are at rest before those that work, and of those beyond the least whoever has
// rested long enough.
func (p *poolPlan) shrink() {
	slices.SortStableFunc(p.serving, func(a, b string) int {
		return p.restsSince(a).Compare(p.restsSince(b))
	})
	have := len(p.serving) + p.coming
	for _, worker := range p.serving {
		switch {
		case have > p.settings.Max:
			p.drain(worker, "there are too many")
		case have > p.settings.Min && p.rested(p.workers[worker], p.settings.Idle):
			p.drain(worker, "it is not needed")
		default:
			continue
		}
		have--
	}
}

// restsSince is when a worker came to rest, now for one that works.
func (p *poolPlan) restsSince(worker string) time.Time {
	if since, rests := p.rests[worker]; rests && p.workers[worker].Operation == "" {
		return since
	}
	return p.now
}

// grow adds workers up to the least that there are to be, and, where work has waited
// and nobody is free, as many as there is work. Who drains still has its place.
func (p *poolPlan) grow(load contract.WorkLoad) {
	want, why := p.settings.Min-len(p.serving)-p.coming, "there are too few"
	if load.Queued > 0 && p.free == 0 && time.Duration(load.OldestAge) >= p.settings.Age {
		if more := load.Queued - p.coming; more > want {
			want, why = more, "work waits"
		}
	}
	for range min(want, p.settings.Max-len(p.serving)-p.coming-p.draining) {
		p.do(deedAdd, "", why)
	}
}
