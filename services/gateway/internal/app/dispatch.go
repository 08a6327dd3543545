package app

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Dispatcher offers every lane the operation that it is due to hold. It is the
// only scheduler, and knows nothing but the log: any number of them may run,
// for an offer that comes twice is refused by the lane or dropped by whoever
// takes it.
type Dispatcher struct {
	lanes Lanes
	log   *slog.Logger

	mu       sync.Mutex
	queue    *domain.Queue[contract.Lane]
	schedule *domain.Schedule // of work, whose lanes are those of workers
	workers  map[string]contract.Worker
	tasks    map[string]int        // that each worker began
	staffed  bool                  // the log of workers was read to its end once
	alarm    *time.Timer           // rings when work is due that has to wait
	about    map[string]commandFor // of the operations that are not over, by id
	live     bool                  // the log was read to its end once
	turns    chan contract.Lane
	tries    map[contract.Lane]int // tries so far of the lanes that have a turn
}

// commandFor is what a command says besides who it is for, and since when it runs.
type commandFor struct {
	project, kind string
	since         time.Time
}

const (
	// offerers is how many offers are under way at a time.
	offerers = 32
	// renewOffers is how often every lane is offered what it should hold
	// already: it mends a queue that was lost.
	renewOffers = 15 * time.Second
	// maxTries ends the tries on a lane that stays taken, two seconds after the
	// first; the renewal goes on from there.
	maxTries = 11
	maxTurns = 1 << 16
)

// NewDispatcher makes a dispatcher, to be fed by a Fold and run with Run.
func NewDispatcher(lanes Lanes, limits domain.WorkLimits, log *slog.Logger) *Dispatcher {
	d := &Dispatcher{
		lanes: lanes, log: log, queue: domain.NewQueue[contract.Lane](), schedule: domain.NewSchedule(limits),
		workers: map[string]contract.Worker{}, tasks: map[string]int{}, about: map[string]commandFor{},
		turns: make(chan contract.Lane, maxTurns), tries: map[contract.Lane]int{},
	}
	d.alarm = time.AfterFunc(time.Hour, d.advance)
	d.alarm.Stop()
	return d
}

// Apply implements Reader. An operation that is held waits for nobody's turn, and a build
// has no lane.
func (d *Dispatcher) Apply(at time.Time, _ *contract.Operation, op contract.Operation) {
	if op.Held || op.Build != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(at, op)
	if op.Work != nil {
		d.applyWork(at, op)
		return
	}
	standing := domain.Over
	switch op.State {
	case contract.Pending:
		standing = domain.Waiting
	case contract.Running:
		standing = domain.Underway
	case contract.Completed, contract.Failed, contract.Cancelled:
	}
	// A running operation is on its lane already: it came from there.
	if d.queue.Apply(op.Lane, op.ID, standing) && d.live && standing != domain.Underway {
		d.ask(op.Lane, 0)
	}
}

// Live implements Reader: from here on offers are made.
func (d *Dispatcher) Live() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.live = true
	d.schedule.Advance(time.Now())
	d.askAll()
	d.offer(nil)
}

func (d *Dispatcher) askAll() {
	for lane := range d.queue.Lanes() {
		d.ask(lane, maxTries)
	}
	for id := range d.workers {
		if lane := contract.WorkerLane(id); d.holds(lane) {
			d.ask(lane, maxTries)
		}
	}
}

// ask gives a lane a turn; where too many have one, the renewal does. A lane
// that has one keeps it, and gets as many tries as whoever asks for most.
func (d *Dispatcher) ask(lane contract.Lane, tries int) {
	if before, has := d.tries[lane]; has {
		d.tries[lane] = min(before, tries)
		return
	}
	select {
	case d.turns <- lane:
		d.tries[lane] = tries
	default:
	}
}

// Run makes offers until ctx is done.
func (d *Dispatcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range offerers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case lane := <-d.turns:
					d.take(ctx, lane)
				}
			}
		})
	}
	tick := time.NewTicker(renewOffers)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			d.alarm.Stop()
			wg.Wait()
			return nil
		case <-tick.C:
			d.mu.Lock()
			if d.live {
				d.askAll()
			}
			d.mu.Unlock()
		}
	}
}

// take offers a lane what it is due to hold. A lane that is taken is free as
// soon as its last command is acknowledged, so it gets another turn shortly.
func (d *Dispatcher) take(ctx context.Context, lane contract.Lane) {
	d.mu.Lock()
	id, _, ok := d.due(lane)
	about := d.about[id]
	d.mu.Unlock()

	var err error
	if ok {
		cmd := contract.RunOperation{Operation: id, Project: about.project, Kind: about.kind}
		if isWorker(lane) {
			cmd.Worker = lane.Key
		}
		err = d.lanes.Offer(ctx, lane, cmd)
		if err != nil && !errors.Is(err, ErrLaneTaken) && ctx.Err() == nil {
			d.log.Warn("offer failed", "lane", lane.Subject(), "operation", id, "error", err)
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	tries := d.tries[lane]
	delete(d.tries, lane)
	now, underway, ok := d.due(lane)
	switch {
	case !ok || underway:
	case now != id:
		d.ask(lane, 0)
	case err != nil && tries < maxTries:
		d.tries[lane] = tries + 1
		time.AfterFunc(time.Millisecond<<tries, func() { d.again(lane) })
	}
}

// again gives a lane the turn that it was promised.
func (d *Dispatcher) again(lane contract.Lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tries := d.tries[lane]
	delete(d.tries, lane)
	d.ask(lane, tries)
}

// Waiting is the number of operations that wait for their turn.
func (d *Dispatcher) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	work := d.schedule.Total()
	return d.queue.Waiting() + work.Waiting + work.Delayed
}

// WaitingFor is the number of operations that wait for a lane; of work, of those of a
// project.
func (d *Dispatcher) WaitingFor(lane contract.Lane, project string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if isWorker(lane) {
		work := d.schedule.Project(project)
		return work.Waiting + work.Delayed
	}
	return d.queue.WaitingFor(lane)
}
