package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Load tells what the queue asks of its workers, once the log was read.
func (q WorkQueue) Load(_ context.Context, _ struct{}) (contract.WorkLoad, error) {
	load, ok := q.Dispatcher.load()
	if !ok {
		return contract.WorkLoad{}, &contract.Error{Code: contract.CodeUnavailable, Detail: "the log was not read to its end yet"}
	}
	load.OldestAge = contract.Duration(q.Stats.oldest(time.Now(), func(string) bool { return true }))
	return load, nil
}

func (d *Dispatcher) load() (load contract.WorkLoad, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.live || !d.staffed {
		return load, false
	}
	load.Queued = d.schedule.Startable()
	load.Workers = make([]contract.WorkerLoad, 0, len(d.workers))
	for id, worker := range d.workers {
		operation, _, _ := d.schedule.Due(id)
		load.Workers = append(load.Workers, contract.WorkerLoad{Worker: worker, Operation: operation, Tasks: d.tasks[id]})
	}
	slices.SortFunc(load.Workers, func(a, b contract.WorkerLoad) int { return strings.Compare(a.ID, b.ID) })
	for id := range d.tasks {
		if _, there := d.workers[id]; !there {
			delete(d.tasks, id) // that was long ago
		}
	}
	return load, true
}
