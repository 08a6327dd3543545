package app

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// stop is why rdev ended a run.
type stop struct {
	reason stopReason
	words  string
}

type stopReason string

const (
	stopNone      stopReason = ""
	stopCancelled stopReason = "cancelled"
	stopTimeout   stopReason = "timeout"
	stopSilence   stopReason = "silence"
	stopBudget    stopReason = "budget"
	stopTurns     stopReason = "turns"
	stopAuth      stopReason = "auth"     // the agent's key was refused
	stopFinished  stopReason = "finished" // the agent had its result and lived on
	stopShutdown  stopReason = "shutdown"
)

// watch keeps the lease of an attempt, and ends its run, or what moves its files, when that
// has to be: on a cancel, a limit, or the executor's own end. It lives until ctx is done.
type watch struct {
	*attempt
	ref    domain.RunRef
	plan   plan
	relay  relay
	detach context.CancelCauseFunc
	ctx    context.Context // of the attempt: done once nothing is to be watched

	lastHeard   atomic.Int64 // unix nanoseconds of the last frame
	inputClosed atomic.Bool
	glance      chan struct{} // asks for a look at the operation
	mu          sync.Mutex
	why         stop
	now         contract.Operation      // as it was seen last
	lives       bool                    // the run does, as far as is known
	halt        context.CancelCauseFunc // ends what moves files, nil where nothing does
	done        sync.WaitGroup
}

// heard notes that the run said something. An agent that has said how it ended
// waits for the end of its input: it gets that at once.
func (w *watch) heard() {
	w.lastHeard.Store(time.Now().UnixNano())
	r, ok := w.relay.(*agentRelay)
	if ok && r.asked() {
		w.lookSoon()
	}
	if ok && w.plan.spec.KeepStdin && r.finished() && !w.inputClosed.Swap(true) {
		w.done.Go(func() {
			// Where it fails, the limit on a finished agent ends it.
			if err := w.Runtime.Input(w.ctx, w.ref, nil, true); err != nil && w.ctx.Err() == nil {
				w.Log.Warn("input of a finished agent not closed", "operation", w.op.ID, "error", err)
			}
		})
	}
}

func (w *watch) wait() { w.done.Wait() }

func (w *watch) start(ctx context.Context) error {
	w.ctx, w.glance, w.now = ctx, make(chan struct{}, 1), w.op
	w.heard()
	if err := w.Signals.OnSignal(ctx, w.op.ID, w.lookSoon); err != nil {
		return err
	}
	w.lookSoon() // something may have been decided before the subscription
	w.done.Go(func() { w.keepLease(ctx) })
	w.done.Go(func() { w.keepLimits(ctx) })
	return nil
}

func (w *watch) lookSoon() {
	select {
	case w.glance <- struct{}{}:
	default: // a look is due anyway
	}
}

// keepLease renews at every heartbeat and looks what has become of the
// operation; a signal has it look at once.
func (w *watch) keepLease(ctx context.Context) {
	beat := time.NewTicker(w.Settings.Lease.Heartbeat)
	defer beat.Stop()
	lastGood := time.Now()
	for {
		renew := false
		select {
		case <-ctx.Done():
			return
		case <-w.glance:
		case <-beat.C:
			renew = true
		}
		err := w.check(ctx, renew)
		switch {
		case err == nil && renew:
			lastGood = time.Now()
			beat.Reset(w.Settings.Lease.Heartbeat)
		case err == nil:
		case errors.Is(err, contract.ErrFenced):
			w.detach(err)
			return
		case time.Since(lastGood) > w.Settings.Lease.SelfFence:
			// The run itself goes on: whoever takes over joins it, with a newer token.
			w.detach(fmt.Errorf("%w: %w", ErrLeaseLost, err))
			return
		default:
			beat.Reset(w.Settings.Lease.Heartbeat / 10)
		}
	}
}

// check looks at the operation and does what was decided about it.
func (w *watch) check(ctx context.Context, renew bool) error {
	op, err := w.look(ctx, renew)
	if err != nil {
		return err
	}
	w.seen(op)
	switch {
	case op.CancelCause != nil:
		w.end(stop{reason: stopBudget, words: op.CancelCause.Message})
	case op.CancelRequested:
		w.end(stop{reason: stopCancelled})
	default:
		return w.approvals(ctx, op)
	}
	return nil
}

// seen notes what the operation is now. While it waits for somebody's decision its
// agent may be silent.
func (w *watch) seen(op contract.Operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now.WaitsSince != nil && op.WaitsSince == nil {
		w.lastHeard.Store(time.Now().UnixNano())
	}
	w.now = op
}

// look reads the operation. It is contract.ErrFenced where that is not this
// attempt's any more. It may renew the lease before.
func (a *attempt) look(ctx context.Context, renew bool) (now contract.Operation, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.Settings.Lease.Heartbeat/4)
	defer cancel()
	if renew {
		if err := a.renew(ctx); err != nil {
			return now, err
		}
	}
	if now, err = a.Operations.Load(ctx, a.op.ID); err != nil {
		return now, err
	}
	if now.Attempt != a.op.Attempt || now.State.Ended() {
		return now, fmt.Errorf("attempt %d: %w", a.op.Attempt, contract.ErrFenced)
	}
	return now, nil
}

// limitInterval is how often limits are looked at.
const limitInterval = 250 * time.Millisecond

func (w *watch) keepLimits(ctx context.Context) {
	tick := time.NewTicker(limitInterval)
	defer tick.Stop()
	progress := time.NewTicker(w.Settings.Progress)
	defer progress.Stop()
	var told contract.Result
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.Stopping.Done():
			if !w.Settings.EndRunsOnStop {
				w.detach(ErrStopping)
				return
			}
			w.end(stop{reason: stopShutdown, words: "rdev was stopped"})
			return
		case <-progress.C:
			w.tell(ctx, &told)
		case <-tick.C:
			if s := w.exceeded(time.Now()); s.reason != stopNone {
				w.end(s)
				return
			}
		}
	}
}

// tell appends what the agent has used so far, where that is more than was told. The
// next time tells what this one could not.
func (w *watch) tell(ctx context.Context, told *contract.Result) {
	r, ok := w.relay.(*agentRelay)
	if !ok {
		return
	}
	now := r.progress()
	if now == nil || reflect.DeepEqual(*now, *told) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.Settings.Lease.Heartbeat/4)
	defer cancel()
	_, err := w.mine(ctx, func(contract.Operation) contract.Change {
		return contract.OperationProgressed{Attempt: w.op.Attempt, Result: now}
	})
	if err == nil {
		*told = *now
	}
}

// exceeded tells which limit is used up, if any. The time that an operation waits
// for somebody's decision counts for none.
func (w *watch) exceeded(now time.Time) stop {
	w.mu.Lock()
	waited, waits, lives := time.Duration(w.now.Waited), w.now.WaitsSince, w.lives
	w.mu.Unlock()
	if waits != nil {
		waited += now.Sub(*waits)
	}
	timeout := w.plan.timeout
	if timeout <= 0 {
		timeout = w.Settings.Timeout
	}
	started := w.op.StartedAt
	if w.op.AttemptAt != nil {
		started = w.op.AttemptAt // of this try
	}
	if started != nil && now.Sub(*started)-waited > timeout {
		return stop{reason: stopTimeout, words: fmt.Sprintf("still running after %s", timeout)}
	}
	if w.plan.agent == nil || !lives {
		return stop{}
	}
	silence := w.plan.silence
	if silence <= 0 {
		silence = w.Settings.Silence
	}
	if quiet := now.Sub(time.Unix(0, w.lastHeard.Load())); quiet > silence && waits == nil {
		return stop{reason: stopSilence, words: fmt.Sprintf("silent for %s", silence)}
	}
	return w.plan.agent.exceeded(w.relay, now)
}

// end stops the run, or what moves its files, once. It does not wait: that the run has ended is seen by
// whoever follows it.
func (w *watch) end(why stop) {
	w.mu.Lock()
	first := w.why.reason == stopNone
	if first {
		w.why = why
	}
	lives, halt := w.lives, w.halt
	w.mu.Unlock()
	if first && halt != nil {
		halt(errHalted)
	}
	if first && lives {
		w.done.Go(w.cancelRun)
	}
}

// cancelRun goes down the ladder until nothing of the run lives. A runtime that
// is out of reach is asked again: the attempt only ends when the run has.
func (w *watch) cancelRun() {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := w.cancelOnce(w.ctx)
		if err == nil || errors.Is(err, domain.ErrNoRun) || w.ctx.Err() != nil {
			return
		}
		if errors.Is(err, domain.ErrStaleToken) {
			w.detach(fmt.Errorf("%w: %w", contract.ErrFenced, err))
			return
		}
		w.Log.Warn("cancel is tried again", "operation", w.op.ID, "error", err)
		again := time.NewTimer(pause)
		select {
		case <-w.ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

func (w *watch) cancelOnce(ctx context.Context) error {
	grace := w.Settings.Grace
	if a := w.plan.agent; a != nil && w.why.reason != stopFinished {
		if err := a.interrupt(ctx, w.Runtime, w.ref); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, grace+30*time.Second)
	defer cancel()
	return w.Runtime.Cancel(ctx, w.ref, grace)
}
