package app

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

const (
	// queued is how many events wait in memory for an endpoint; the log has the rest.
	queued = 128
	// unrecorded is how many attempts an endpoint may be ahead of the table.
	unrecorded = 256
	// maxError is the most that is kept of an error, in bytes.
	maxError = 500
	// readAgain is after how long the log is read again that could not be.
	readAgain = time.Second
)

// lane is one endpoint's way through the log.
type lane struct {
	*Courier

	ctx context.Context // of the run

	mu       sync.Mutex
	endpoint Endpoint
	filter   domain.Filter
	queue    []*Event // that it wants, in order; the first may be under way
	// seen is how far the log was looked through: what it wants of that is in the
	// queue, or settled. A live lane has seen all that was told.
	seen     uint64
	live     bool
	settled  uint64 // the last event that was delivered or given up
	marked   uint64 // the cursor that is stored
	turn     int    // counts what makes the queue another one
	again    bool   // redeliveries may wait
	running  bool
	gone     bool
	timer    *time.Timer
	notUntil time.Time // nothing is sent before
	pending  int       // results that are not stored yet
}

func newLane(ctx context.Context, c *Courier) *lane { return &lane{Courier: c, ctx: ctx} }

// change takes over what an endpoint has become. Of its way through the log the lane
// knows more than the table, unless it was set back.
func (l *lane) change(e Endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.endpoint
	first := before.Webhook.ID == ""
	l.endpoint, l.filter, l.gone, l.again = e, e.Filter(), e.Deleted, e.Again
	now := &l.endpoint
	switch {
	case first || before.Epoch != e.Epoch:
		l.settled, l.marked = e.Webhook.Health.Seq, e.Webhook.Health.Seq
		l.queue, l.seen, l.live = nil, l.settled, false
		l.turn++
	case !before.Webhook.Enabled && e.Webhook.Enabled: // it begins anew
		now.PrevSeq, now.Webhook.Health = before.PrevSeq, contract.WebhookHealth{Seq: before.Webhook.Health.Seq}
	default:
		now.PrevSeq, now.Webhook.Health = before.PrevSeq, before.Webhook.Health
	}
	if len(l.queue) > 1 { // the first may be under way
		rest := slices.DeleteFunc(slices.Clone(l.queue[1:]), func(e *Event) bool { return !l.filter.Matches(e.Type, e.Project) })
		l.queue = append(l.queue[:1:1], rest...)
	}
	l.notUntil = time.Time{}
	if at := now.Webhook.Health.NextAttemptAt; at != nil {
		l.notUntil = *at
	}
}

// offer takes an event that was just told.
func (l *lane) offer(e *Event) {
	l.mu.Lock()
	if !l.live || e.Seq <= l.seen || !l.filter.Matches(e.Type, e.Project) {
		l.mu.Unlock()
		return
	}
	if len(l.queue) >= queued {
		l.live = false
		l.mu.Unlock()
		return
	}
	l.queue, l.seen = append(l.queue, e), e.Seq // two filters may want it
	l.mu.Unlock()
	l.wake()
}

// wake has the lane work, if it does not.
func (l *lane) wake() {
	l.Courier.mu.RLock()
	defer l.Courier.mu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || l.gone || l.closing {
		return
	}
	l.running = true
	l.working.Go(l.work)
}

// step is what a lane does next.
type step int

const (
	rest step = iota
	send
	readOn
	redeliver
)

// next decides what to do. Where that is to rest, somebody wakes the lane: an event,
// a change, a result that is stored, or the timer.
func (l *lane) next() (step, *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := time.Until(l.notUntil)
	switch {
	case l.gone, !l.endpoint.Webhook.Enabled, l.pending >= unrecorded, l.ctx.Err() != nil:
	case l.again:
		return redeliver, nil
	case wait > 0:
		if l.timer != nil {
			l.timer.Stop()
		}
		l.timer = time.AfterFunc(wait, l.wake)
	case len(l.queue) > 0:
		return send, l.queue[0]
	case !l.live:
		return readOn, nil
	}
	l.running = false
	return rest, nil
}

func (l *lane) work() {
	for {
		switch what, event := l.next(); what {
		case rest:
			return
		case send:
			l.deliver(event)
		case readOn:
			l.readOn()
		case redeliver:
			l.redeliverAll()
		}
	}
}

// readOn fills the queue from the log, until the lane has seen all that was told.
func (l *lane) readOn() {
	l.mu.Lock()
	after, turn := l.seen, l.turn
	l.mu.Unlock()
	events, upTo, err := l.pages.after(l.ctx, after, l.position.Load())
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case turn != l.turn:
		return
	case err != nil:
		if l.ctx.Err() == nil {
			l.Logger.Warn("the log is read again", "endpoint", l.endpoint.Webhook.ID, "after", after, "error", err)
		}
		l.notUntil = time.Now().Add(readAgain)
		return
	}
	if upTo > after && (len(events) == 0 || events[0].Seq != after+1) {
		// The log has forgotten something: nobody can tell what came before.
		l.endpoint.PrevSeq = 0
	}
	for _, e := range events {
		if l.filter.Matches(e.Type, e.Project) {
			l.queue = append(l.queue, e)
		}
	}
	l.seen = max(l.seen, upTo)
	// Whoever tells an event stores the position first: what was told before this look
	// was seen, and what is told after it is offered.
	l.live = l.seen >= l.position.Load()
}

// deliver makes an attempt to deliver the first event of the queue.
func (l *lane) deliver(event *Event) {
	l.mu.Lock()
	request, turn := l.request(event, l.endpoint.PrevSeq), l.turn
	failing := l.endpoint.Webhook.Health.Failures > 0
	l.mu.Unlock()
	outcome, ok := l.post(request, failing)
	if !ok {
		return // cut off: the next run makes it again
	}
	l.mu.Lock()
	if turn != l.turn {
		l.mu.Unlock()
		return // it was set back, and comes again
	}
	result := l.judge(event, outcome)
	l.pending++
	l.mu.Unlock()
	if result.Disabled != "" {
		l.Logger.Warn("webhook disabled: it gets nothing until somebody enables it", "endpoint", result.Endpoint, "url", request.URL, "reason", result.Disabled)
	}
	l.results <- result
}

// post makes a request once there is a slot. One that takes long leaves its slot to
// others: it waits for its endpoint, and they should not.
func (l *lane) post(request Request, failing bool) (outcome Outcome, ok bool) {
	slots := l.brisk
	if failing {
		slots = l.slow
	}
	select {
	case slots <- struct{}{}:
	case <-l.ctx.Done():
		return outcome, false
	}
	leave := sync.OnceFunc(func() { <-slots })
	slow := time.AfterFunc(slowAfter, leave)
	outcome = l.Sender.Send(l.ctx, request)
	slow.Stop()
	leave()
	return outcome, outcome.Err == nil || l.ctx.Err() == nil
}

func (l *lane) request(event *Event, prev uint64) Request {
	return Request{URL: l.endpoint.Webhook.URL, Secrets: l.endpoint.secrets(time.Now()), Headers: l.endpoint.Webhook.Headers, Event: event, PrevSeq: prev}
}

// judge decides what becomes of an event, and moves the lane on.
func (l *lane) judge(event *Event, outcome Outcome) Result {
	now := time.Now().UTC()
	w := &l.endpoint.Webhook
	health := &w.Health
	try := domain.Try{
		Status: outcome.Status, RetryAfter: outcome.RetryAfter, Cut: outcome.Cut, RetryClientErrors: w.RetryClientErrors, Failures: health.Failures,
		Since: later(event.Time, l.endpoint.EnabledAt), Now: now, Random: rand.Float64(),
	}
	if health.FailingSince != nil {
		try.FailingSince = *health.FailingSince
	}
	verdict, reason, pause := l.Policy.Judge(try)
	result := Result{
		Endpoint: w.ID, Epoch: l.endpoint.Epoch, Event: event, PrevSeq: l.endpoint.PrevSeq, Attempt: attemptOf(outcome, now),
		Status: contract.DeliveryPending,
	}
	switch verdict {
	case domain.Delivered:
		result.Status = contract.DeliveryDelivered
		health.Failures, health.FailingSince, health.LastError = 0, nil, ""
	case domain.Dead:
		result.Status = contract.DeliveryDead
	case domain.Disable:
		w.Enabled, result.Disabled = false, reason
	case domain.Retry:
	}
	if verdict != domain.Delivered {
		health.Failures++
		health.LastError = result.Attempt.Error
		if health.FailingSince == nil {
			health.FailingSince = &now
		}
	}
	if result.Status != contract.DeliveryPending {
		l.queue = l.queue[1:]
		l.settled, l.endpoint.PrevSeq = event.Seq, event.Seq
		health.Seq = event.Seq
	}
	health.NextAttemptAt = nil
	if verdict != domain.Delivered && pause > 0 {
		next := now.Add(pause)
		health.NextAttemptAt = &next
	}
	if pause == 0 && w.Rate > 0 {
		pause = time.Second / time.Duration(w.Rate)
	}
	l.notUntil = now.Add(pause)
	result.Cursor, result.Sent = l.settled, l.endpoint.PrevSeq
	result.Failures, result.FailingSince, result.NextAttemptAt = health.Failures, health.FailingSince, health.NextAttemptAt
	return result
}

func attemptOf(o Outcome, at time.Time) contract.DeliveryAttempt {
	attempt := contract.DeliveryAttempt{At: at.Add(-o.Duration), StatusCode: o.Status, DurationMS: o.Duration.Milliseconds(), Response: o.Excerpt}
	switch {
	case o.Err != nil:
		attempt.Error = o.Err.Error()
	case o.Status >= 300 && o.Status < 400:
		attempt.Error = fmt.Sprintf("answered %d: redirects are not followed", o.Status)
	case o.Status < 200 || o.Status > 299:
		attempt.Error = fmt.Sprintf("answered %d", o.Status)
	}
	attempt.Error = strings.ToValidUTF8(attempt.Error[:min(len(attempt.Error), maxError)], "")
	return attempt
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// redeliverAll makes the deliveries again that somebody wants to be.
func (l *lane) redeliverAll() {
	l.mu.Lock()
	l.again = false
	id := l.endpoint.Webhook.ID
	l.mu.Unlock()
	for {
		wanted, err := l.Deliveries.Redeliveries(l.ctx, id, queued)
		more := true
		if err == nil {
			more, err = l.redeliver(id, wanted)
		}
		switch {
		case l.ctx.Err() != nil:
			return
		case err != nil:
			l.Logger.Warn("redeliveries are looked for again", "endpoint", id, "error", err)
			l.mu.Lock()
			l.again = true
			l.mu.Unlock()
			select {
			case <-l.ctx.Done():
			case <-time.After(readAgain):
			}
			return
		case len(wanted) < queued || !more:
			return
		}
	}
}

// errForgotten is why a delivery cannot be made again.
var errForgotten = errors.New("the log does not have the event any more")

// redeliver makes some deliveries again, as fast as the endpoint's rate, and returns
// once that is stored; more is false where the endpoint was paused.
func (l *lane) redeliver(id string, wanted []Redelivery) (more bool, err error) {
	var results []Result
	for _, r := range wanted {
		l.mu.Lock()
		enabled, rate := l.endpoint.Webhook.Enabled && !l.gone, l.endpoint.Webhook.Rate
		l.mu.Unlock()
		if !enabled {
			break // the rest waits in the table
		}
		result, err := l.redeliverOne(id, r)
		if err != nil {
			return false, err
		}
		more = true
		results = append(results, result)
		if rate == 0 {
			continue
		}
		if err := l.Deliveries.Record(l.ctx, results); err != nil {
			return false, err
		}
		results = nil
		select {
		case <-time.After(time.Second / time.Duration(rate)):
		case <-l.ctx.Done():
			return false, context.Cause(l.ctx)
		}
	}
	if len(results) == 0 {
		return more, nil
	}
	return more, l.Deliveries.Record(l.ctx, results)
}

func (l *lane) redeliverOne(id string, r Redelivery) (Result, error) {
	events, err := l.Log.Read(l.ctx, r.Seq-1, r.Seq)
	if err != nil {
		return Result{}, fmt.Errorf("read event %d: %w", r.Seq, err)
	}
	event, outcome := &Event{ID: r.EventID, Seq: r.Seq}, Outcome{Err: errForgotten}
	if len(events) > 0 {
		event = events[0]
		l.mu.Lock()
		request := l.request(event, r.PrevSeq)
		l.mu.Unlock()
		var ok bool
		if outcome, ok = l.post(request, true); !ok {
			return Result{}, context.Cause(l.ctx)
		}
	}
	result := Result{
		Endpoint: id, Event: event, PrevSeq: r.PrevSeq, Attempt: attemptOf(outcome, time.Now().UTC()), Redelivery: true,
	}
	if result.Attempt.Error == "" {
		result.Status = contract.DeliveryDelivered
	}
	return result, nil
}

// stored notes that results are in the table.
func (l *lane) stored(n int, cursor uint64) {
	l.mu.Lock()
	blocked := l.pending >= unrecorded
	l.pending -= n
	l.marked = max(l.marked, cursor)
	l.mu.Unlock()
	if blocked {
		l.wake()
	}
}

// mark is the cursor, where it is further than the one that is stored and nothing is
// under way.
func (l *lane) mark() (Mark, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) > 0 || l.pending > 0 || l.gone {
		return Mark{}, false
	}
	cursor := l.seen
	if l.live {
		cursor = max(cursor, l.offered.Load())
	}
	if cursor <= l.marked {
		return Mark{}, false
	}
	l.marked, l.settled = cursor, cursor
	return Mark{Endpoint: l.endpoint.Webhook.ID, Epoch: l.endpoint.Epoch, Cursor: cursor}, true
}

func (l *lane) lag() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.position.Load()
	switch {
	case len(l.queue) > 0:
		return told - min(told, l.queue[0].Seq-1)
	case l.live, !l.endpoint.Webhook.Enabled:
		return 0
	}
	return told - min(told, l.seen)
}
