package app

import (
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// isWorker tells whether a lane is that of a worker, and not of a project.
func isWorker(lane contract.Lane) bool { return lane.Name == contract.WorkLane().Name }

// due is what a lane is due to hold, and whether that was taken from it.
func (d *Dispatcher) due(lane contract.Lane) (id string, underway, ok bool) {
	if isWorker(lane) {
		return d.schedule.Due(lane.Key)
	}
	id, ok = d.queue.Due(lane)
	return id, d.queue.Underway(lane), ok
}

// note keeps what is to be known of an operation until it is over.
func (d *Dispatcher) note(at time.Time, op contract.Operation) {
	if op.State.Ended() {
		delete(d.about, op.ID)
		return
	}
	about := commandFor{project: op.Project, kind: op.Kind}
	if op.State == contract.Running {
		if about.since = d.about[op.ID].since; about.since.IsZero() {
			about.since = at
		}
	}
	d.about[op.ID] = about
}

func (d *Dispatcher) holds(lane contract.Lane) bool {
	_, _, ok := d.due(lane)
	return ok
}

// applyWork takes an event of a piece of work. The time is that of the event, so that
// every dispatcher that has read it comes to the same.
func (d *Dispatcher) applyWork(at time.Time, op contract.Operation) {
	var changed []string
	switch op.State {
	case contract.Pending:
		changed = d.schedule.Wait(itemOf(op), at)
	case contract.Running:
		changed = d.schedule.Run(op.ID, op.Lane.Key)
		d.tasks[op.Lane.Key]++
	case contract.Completed, contract.Failed, contract.Cancelled:
		changed = d.schedule.End(op.ID)
	}
	for _, worker := range changed {
		d.forget(worker)
	}
	d.offer(changed)
}

// forget forgets a worker that is gone, once it carries nothing out.
func (d *Dispatcher) forget(worker string) {
	if _, busy, _ := d.schedule.Due(worker); !busy && d.workers[worker].State == contract.WorkerGone {
		delete(d.workers, worker)
		delete(d.tasks, worker)
	}
}

func itemOf(op contract.Operation) domain.Item {
	item := domain.Item{ID: op.ID, Project: op.Project, Kind: op.Kind}
	switch op.Work.Priority {
	case contract.PriorityHigh:
		item.Priority = domain.High
	case contract.PriorityLow:
		item.Priority = domain.Low
	case contract.PriorityNormal:
	}
	if op.Work.RunAt != nil {
		item.NotBefore = *op.Work.RunAt
	}
	return item
}

// offer has workers offered what they are due to hold, and the alarm set to when the
// next work is due.
func (d *Dispatcher) offer(workers []string) {
	if !d.live {
		return
	}
	for _, worker := range workers {
		d.ask(contract.WorkerLane(worker), 0)
	}
	if at, waits := d.schedule.Next(); waits {
		d.alarm.Reset(max(0, time.Until(at)))
	}
}

// advance lets go what had to wait until now.
func (d *Dispatcher) advance() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.offer(d.schedule.Advance(time.Now()))
}

// WorkersLive tells that SetWorker was told all that the log has.
func (d *Dispatcher) WorkersLive() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.staffed = true
}

// SetWorker takes what the log says of a worker.
func (d *Dispatcher) SetWorker(worker contract.Worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.workers[worker.ID] = worker
	if worker.State == contract.WorkerReady {
		d.offer(d.schedule.Open(worker.ID))
		return
	}
	d.offer(d.schedule.Close(worker.ID))
	d.forget(worker.ID)
}
