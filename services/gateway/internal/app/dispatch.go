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

	mu    sync.Mutex
	queue *domain.Queue[contract.Lane]
	kinds map[string]string // of the operations in the queue, by id
	live  bool              // the log was read to its end once
	turns chan contract.Lane
	tries map[contract.Lane]int // tries so far of the lanes that have a turn
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
func NewDispatcher(lanes Lanes, log *slog.Logger) *Dispatcher {
	return &Dispatcher{
		lanes: lanes, log: log, queue: domain.NewQueue[contract.Lane](), kinds: map[string]string{},
		turns: make(chan contract.Lane, maxTurns), tries: map[contract.Lane]int{},
	}
}

// Apply implements Reader. An operation that is held waits for nobody's turn.
func (d *Dispatcher) Apply(_ time.Time, _ *contract.Operation, op contract.Operation) {
	if op.Held {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	standing := domain.Over
	switch op.State {
	case contract.Pending:
		standing = domain.Waiting
	case contract.Running:
		standing = domain.Underway
	case contract.Completed, contract.Failed, contract.Cancelled:
	}
	if standing == domain.Over {
		delete(d.kinds, op.ID)
	} else {
		d.kinds[op.ID] = op.Kind
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
	d.askAll()
}

func (d *Dispatcher) askAll() {
	for lane := range d.queue.Lanes() {
		d.ask(lane, maxTries)
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
	id, ok := d.queue.Due(lane)
	kind := d.kinds[id]
	d.mu.Unlock()

	var err error
	if ok {
		err = d.lanes.Offer(ctx, lane, contract.RunOperation{Operation: id, Project: lane.Key, Kind: kind})
		if err != nil && !errors.Is(err, ErrLaneTaken) && ctx.Err() == nil {
			d.log.Warn("offer failed", "lane", lane.Subject(), "operation", id, "error", err)
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	tries := d.tries[lane]
	delete(d.tries, lane)
	now, ok := d.queue.Due(lane)
	switch {
	case !ok || d.queue.Underway(lane):
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
	return d.queue.Waiting()
}

// WaitingFor is the number of operations that wait for a lane.
func (d *Dispatcher) WaitingFor(lane contract.Lane) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.WaitingFor(lane)
}
