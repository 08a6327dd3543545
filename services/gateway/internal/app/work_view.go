package app

import (
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// WorkQueue is the work queue as one gateway knows it from the log.
type WorkQueue struct {
	Dispatcher *Dispatcher
	Stats      *WorkStats
}

// WorkReport is how the queue does. What is counted of ends and waits is of the last
// hour.
type WorkReport struct {
	WorkCounts
	OldestAge float64 `json:"oldest_age_seconds"` // of the work that has waited longest
	Completed int     `json:"completed"`
	Failed    int     `json:"failed"`
	Cancelled int     `json:"cancelled"`
	Retried   int     `json:"retried"` // tries that failed and were followed by another
	// Throughput is how many ended in a minute, on average.
	Throughput float64 `json:"throughput_per_minute"`
	// Wait is how long work had waited when it began, to a fifth more.
	Wait      WaitQuantiles         `json:"wait_seconds"`
	ByProject map[string]WorkCounts `json:"by_project"`
	// ByKind is left out where the report is of some projects only.
	ByKind   map[string]WorkCounts   `json:"by_kind,omitempty"`
	ByWorker map[string]WorkerReport `json:"by_worker"`
}

// WorkCounts are how many pieces of work stand where.
type WorkCounts struct {
	Queued  int `json:"queued"`  // due, and waiting
	Delayed int `json:"delayed"` // until a time to come
	Running int `json:"running"`
}

// WaitQuantiles are in seconds.
type WaitQuantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// WorkerReport is what a worker does, and did.
type WorkerReport struct {
	Operation *string `json:"operation"` // null where it waits, or that is none of the key's
	Completed int     `json:"completed"`
	Failed    int     `json:"failed"` // tries that were followed by another count, too
}

// Report tells how the queue does at a time, as far as it is of projects that are
// seen; whole says that those are all.
func (q WorkQueue) Report(now time.Time, whole bool, seen func(project string) bool) WorkReport {
	ends, workers := q.Stats.sums(now, seen)
	report := WorkReport{
		OldestAge: q.Stats.oldest(now, seen).Seconds(), Completed: ends.completed, Failed: ends.failed, Cancelled: ends.cancelled, Retried: ends.retried,
		Throughput: float64(ends.completed+ends.failed+ends.cancelled) / time.Hour.Minutes(),
		Wait:       WaitQuantiles{P50: ends.quantile(0.5).Seconds(), P95: ends.quantile(0.95).Seconds()},
		ByProject:  map[string]WorkCounts{}, ByWorker: map[string]WorkerReport{},
	}
	projects, kinds := q.Dispatcher.counts()
	for project, counts := range projects {
		if !seen(project) {
			continue
		}
		c := countsOf(counts)
		report.ByProject[project] = c
		report.Queued += c.Queued
		report.Delayed += c.Delayed
		report.Running += c.Running
	}
	if whole {
		report.ByKind = map[string]WorkCounts{}
		for kind, counts := range kinds {
			report.ByKind[strings.TrimPrefix(kind, contract.WorkPrefix)] = countsOf(counts)
		}
	}
	for _, w := range q.Workers(seen) {
		r := WorkerReport{Operation: w.Operation}
		if t := workers[w.ID]; t != nil {
			r.Completed, r.Failed = t.completed, t.failed+t.retried
		}
		report.ByWorker[w.ID] = r
	}
	return report
}

func countsOf(c domain.Counts) WorkCounts {
	return WorkCounts{Queued: c.Waiting, Delayed: c.Delayed, Running: c.Running}
}

// WorkerView is a worker, and what it does.
type WorkerView struct {
	contract.Worker
	Operation *string    `json:"operation"` // null where it waits, or that is none of the key's
	Project   *string    `json:"project"`
	Since     *time.Time `json:"since"` // it works on that
}

// Workers are those that are ready or drain, by name.
func (q WorkQueue) Workers(seen func(project string) bool) []WorkerView {
	return q.Dispatcher.workersAnd(seen)
}

func (d *Dispatcher) counts() (projects, kinds map[string]domain.Counts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.schedule.Projects(), d.schedule.Kinds()
}

func (d *Dispatcher) workersAnd(seen func(project string) bool) []WorkerView {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]WorkerView, 0, len(d.workers))
	for _, worker := range d.workers {
		view := WorkerView{Worker: worker}
		if id, underway, _ := d.schedule.Due(worker.ID); underway {
			if about := d.about[id]; seen(about.project) {
				view.Operation, view.Project, view.Since = &id, &about.project, &about.since
			}
		}
		all = append(all, view)
	}
	slices.SortFunc(all, func(a, b WorkerView) int { return strings.Compare(a.ID, b.ID) })
	return all
}
