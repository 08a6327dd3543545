package jetstream

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

const (
	// slowAfter is how long an endpoint may take before it counts as slow.
	slowAfter = time.Second
	// watchEvery is how often lanes are looked at, renewEvery how often what they
	// hold is renewed: well below the consumer's 30 s.
	watchEvery = 250 * time.Millisecond
	renewEvery = 8 * time.Second
	// againAfter is when a delivery comes again that could not be looked at.
	againAfter = 2 * time.Second
	// grace is how long requests may go on when the service stops.
	grace = 3 * time.Second
)

// Lanes makes deliveries: one at a time for an endpoint, side by side for all.
//
// Within one process and while nothing fails, an endpoint gets its events in the
// order of the log, each after it answered the one before. A delivery that failed
// falls behind those that came after it, and so does what waited for a slow
// endpoint: it goes back to the stream, for the server hands out no more than a
// few hundred deliveries at a time, and a slow endpoint must not hold them all.
// Rdev-Seq and Rdev-Prev-Seq tell the receiver the order.
type Lanes struct {
	bus     *bus.Conn
	deliver func(context.Context, string, app.Event) (time.Time, error)
	log     *slog.Logger

	mu      sync.Mutex
	lanes   map[string]*lane // by endpoint
	working sync.WaitGroup
}

type lane struct {
	current *bus.Hook // nil where none is under way
	since   time.Time // when current began
	waiting []*bus.Hook
	slow    bool // as the last request was, or the one under way is
}

// NewLanes makes deliveries with deliver, see [app.App.Deliver].
func NewLanes(conn *bus.Conn, deliver func(context.Context, string, app.Event) (time.Time, error), log *slog.Logger) *Lanes {
	return &Lanes{bus: conn, deliver: deliver, log: log, lanes: map[string]*lane{}}
}

// Run makes deliveries until ctx is done.
func (l *Lanes) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { l.watch(work) })
	err := l.bus.Hooks(ctx, l.log, func(h *bus.Hook) { l.take(work, h) })
	for _, h := range l.shed(func(*lane) bool { return true }) {
		l.settled(h.Again(0))
	}
	end := time.AfterFunc(grace, cancel)
	defer end.Stop()
	l.working.Wait()
	cancel()
	watching.Wait()
	return err
}

// take puts a delivery on its endpoint's lane, or back into the stream.
func (l *Lanes) take(ctx context.Context, h *bus.Hook) {
	l.mu.Lock()
	one := l.lanes[h.Endpoint]
	if one == nil {
		one = &lane{}
		l.lanes[h.Endpoint] = one
	}
	putOff := one.slow && (one.current != nil || len(one.waiting) > 0)
	if !putOff {
		one.waiting = append(one.waiting, h)
		if one.current == nil {
			one.begin()
			l.working.Go(func() { l.work(ctx, one) })
		}
	}
	l.mu.Unlock()
	if putOff {
		l.putOff(ctx, h)
	}
}

// begin takes the next delivery of a lane, if there is one.
func (one *lane) begin() {
	one.current = nil
	if len(one.waiting) > 0 {
		one.current, one.waiting, one.since = one.waiting[0], one.waiting[1:], time.Now()
	}
}

// drags tells, and notes, whether the request under way takes too long.
func (one *lane) drags(now time.Time) bool {
	drags := one.current != nil && now.Sub(one.since) >= slowAfter
	one.slow = one.slow || drags
	return drags
}

// work makes the deliveries of a lane until none waits.
func (l *Lanes) work(ctx context.Context, one *lane) {
	for h := one.current; h != nil; {
		next, err := l.deliver(ctx, h.Endpoint, eventOfHook(h))
		settle := context.WithoutCancel(ctx)
		switch {
		case err != nil:
			l.log.Warn("delivery comes again", "endpoint", h.Endpoint, "event", h.EventID, "error", err)
			l.settled(h.Again(againAfter))
		case next.IsZero():
			l.settled(h.Done(settle))
		default:
			l.settled(h.Later(settle, next))
		}
		l.mu.Lock()
		one.slow = time.Since(one.since) >= slowAfter
		one.begin()
		h = one.current
		l.mu.Unlock()
	}
}

// watch takes what waits for slow endpoints off their lanes, and renews the rest.
func (l *Lanes) watch(ctx context.Context) {
	watch, renew := time.NewTicker(watchEvery), time.NewTicker(renewEvery)
	defer watch.Stop()
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			for _, h := range l.held() {
				l.settled(h.Renew())
			}
		case now := <-watch.C:
			for _, h := range l.shed(func(one *lane) bool { return one.drags(now) }) {
				l.putOff(ctx, h)
			}
		}
	}
}

func (l *Lanes) held() (all []*bus.Hook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.lanes {
		if one.current != nil {
			all = append(append(all, one.current), one.waiting...)
		}
	}
	return all
}

// shed takes what waits off those lanes that the condition, which may change
// them, holds for.
func (l *Lanes) shed(when func(*lane) bool) (all []*bus.Hook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.lanes {
		if when(one) {
			all, one.waiting = append(all, one.waiting...), nil
		}
	}
	return all
}

// putOff gives a delivery back to the stream for some seconds. It is no attempt.
func (l *Lanes) putOff(ctx context.Context, h *bus.Hook) {
	l.settled(h.Later(ctx, time.Now().Add(2*time.Second+rand.N(8*time.Second))))
}

// settled logs an answer to NATS that was lost; the delivery then comes again.
func (l *Lanes) settled(err error) {
	if err != nil {
		l.log.Warn("answer to NATS lost", "error", err)
	}
}
