package domain_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// budget is gateways that share a budget, on a clock of their own. An exchange with
// the pool takes its time, in which other things happen.
type budget struct {
	t     *testing.T
	rand  *rand.Rand
	limit domain.Limit
	now   time.Time
	pool  domain.Pool
	gates []*gate

	level float64 // of a bucket that holds what was spent and leaks at the rate
	most  float64
	spent int64
	last  time.Time
}

type gate struct {
	name  string
	share *domain.Share
	ahead time.Duration // of its clock
	order *domain.Order
	got   *domain.Portion
	next  time.Time // of the exchange that is under way
	away  bool      // the pool cannot be reached
	spent int64
	wait  time.Duration // as the last refusal said
}

func newBudget(t *testing.T, seed uint64, limit domain.Limit, gates int) *budget {
	t.Helper()
	b := &budget{t: t, rand: rand.New(rand.NewPCG(seed, 1)), limit: limit, now: time.Unix(1_800_000_000, 0)}
	b.last = b.now
	for i := range gates {
		b.gates = append(b.gates, &gate{name: fmt.Sprintf("g%d", i), share: domain.NewShare(limit, b.now)})
	}
	return b
}

// pass lets time go by, and exchanges go on that are due to.
func (b *budget) pass(d time.Duration) {
	for end := b.now.Add(d); ; {
		var first *gate
		for _, g := range b.gates {
			if g.order != nil && !g.next.After(end) && (first == nil || g.next.Before(first.next)) {
				first = g
			}
		}
		if first == nil {
			b.now = end
			return
		}
		b.now = first.next
		b.step(first)
	}
}

// step is the pool's end of an exchange, or the gateway's.
func (b *budget) step(g *gate) {
	clock := b.now.Add(g.ahead)
	switch {
	case g.away:
		g.share.Alone(clock)
		g.order, g.got = nil, nil
	case g.got == nil:
		got := b.limit.Exchange(b.pool, *g.order, clock)
		b.pool, g.got = got.Pool, &got
		g.next = b.now.Add(time.Duration(b.rand.Int64N(int64(5 * time.Millisecond))))
	default:
		g.share.Settle(*g.got, clock)
		g.order, g.got = nil, nil
	}
}

// tend begins an exchange where one is due, for a request or because a lease ended.
func (b *budget) tend(g *gate, due func(*domain.Share, time.Time) bool) {
	clock := b.now.Add(g.ahead)
	if g.order == nil && due(g.share, clock) {
		o := g.share.Begin(g.name, clock)
		g.order, g.next = &o, b.now.Add(time.Duration(b.rand.Int64N(int64(5*time.Millisecond))))
	}
}

// ask is a request at a gateway.
func (b *budget) ask(g *gate) bool {
	ok := g.share.Spend(b.now.Add(g.ahead))
	if ok {
		b.level = max(0, b.level-float64(b.now.Sub(b.last))/float64(b.limit.Every)) + 1
		b.last = b.now
		b.most = max(b.most, b.level)
		b.spent++
		g.spent++
	} else {
		g.wait = g.share.Wait(b.now.Add(g.ahead))
	}
	b.tend(g, (*domain.Share).Due)
	return ok
}

// settle lets two leases pass, and what the pool needs to be full.
func (b *budget) settle() {
	for range 10 + int(b.limit.Whole()/(domain.Lease/4)) {
		for _, g := range b.gates {
			b.tend(g, (*domain.Share).Over)
		}
		b.pass(domain.Lease / 4)
	}
}

var rates = []int{1, 7, 60, 600, 6000, 60000}

// TestNoInterleavingSpendsMoreThanTheBudget lets gateways come and go, sleep and
// hurry. The level of the leaking bucket is the most by which any span of time
// exceeded what the budget gained in it.
func TestNoInterleavingSpendsMoreThanTheBudget(t *testing.T) {
	for _, rate := range rates {
		limit := domain.PerMinute(rate)
		for seed := range uint64(60) {
			b := newBudget(t, seed, limit, 1+int(seed%5))
			skew := time.Duration(seed%3) * 100 * time.Millisecond
			for _, g := range b.gates {
				g.ahead = time.Duration(b.rand.Int64N(int64(skew) + 1))
			}
			restarts := 0
			for range 3000 {
				g := b.gates[b.rand.IntN(len(b.gates))]
				switch b.rand.IntN(40) {
				case 0:
					b.pass(time.Duration(b.rand.Int64N(int64(2 * domain.Lease))))
				case 1:
					for _, g := range b.gates {
						b.tend(g, (*domain.Share).Over)
					}
				case 2:
					if b.rand.IntN(20) == 0 { // it dies with what it holds, and another comes
						restarts++
						*g = gate{name: fmt.Sprintf("%s-%d", g.name, restarts), share: domain.NewShare(limit, b.now.Add(g.ahead)), ahead: g.ahead}
					}
				case 3, 4, 5:
					for range b.rand.IntN(200) {
						b.ask(g)
					}
				default:
					b.ask(g)
				}
				b.pass(time.Duration(b.rand.Int64N(int64(limit.Every))))
			}
			bound := float64(limit.Burst + int64(len(b.gates)+restarts)*limit.Slice() + 1 + int64(skew/limit.Every))
			if b.most > bound {
				t.Errorf("%d a minute, %d gateways, seed %d: %.0f more than was gained, of %.0f", rate, len(b.gates), seed, b.most, bound)
			}
		}
	}
}

// TestWhatIsAskedForIsSpentToTheLast holds the other side: a budget that is always
// asked for is spent at its rate, and every gateway has its part of it.
func TestWhatIsAskedForIsSpentToTheLast(t *testing.T) {
	for _, rate := range rates {
		limit := domain.PerMinute(rate)
		for seed := range uint64(4) {
			b := newBudget(t, seed, limit, 1+int(seed%4))
			step := max(limit.Every/8, 2*time.Millisecond)
			begin := b.now
			longest := map[*gate]time.Duration{}
			last := map[*gate]time.Time{}
			for b.now.Sub(begin) < 30*limit.Every+2*limit.Whole()+20*time.Second {
				for i, g := range b.gates {
					for range 1 + 10*i { // the last one asks most
						if b.ask(g) || last[g].IsZero() {
							last[g] = b.now
						}
					}
					longest[g] = max(longest[g], b.now.Sub(last[g]))
				}
				b.pass(time.Duration(b.rand.Int64N(int64(step))))
			}
			gained := int64(b.now.Sub(begin) / limit.Every)
			if low := gained - int64(len(b.gates))*limit.Slice() - 1; b.spent < low*9/10 {
				t.Errorf("%d a minute, %d gateways, seed %d: %d spent of %d", rate, len(b.gates), seed, b.spent, gained)
			}
			for i, g := range b.gates {
				if wait := time.Duration(int64(len(b.gates)+1)*limit.Slice())*limit.Every + domain.Lease; longest[g] > wait {
					t.Errorf("%d a minute, %d gateways, seed %d: gateway %d got nothing for %s, of %s", rate, len(b.gates), seed, i, longest[g], wait)
				}
			}
		}
	}
}

func TestWhatIsNotSpentIsGivenBackOnceALeasePassesWithoutARequest(t *testing.T) {
	for _, rate := range rates {
		limit := domain.PerMinute(rate)
		for seed := range uint64(20) {
			b := newBudget(t, seed, limit, 1+int(seed%4))
			for range 200 {
				b.ask(b.gates[b.rand.IntN(len(b.gates))])
			}
			b.settle()
			for i, g := range b.gates {
				if !g.share.Idle() && limit.Every < domain.Lease {
					t.Errorf("%d a minute: gateway %d of %d is not idle: %+v", rate, i, len(b.gates), g.share)
				}
			}
			if b.pool.Full.After(b.now) && limit.Every < domain.Lease {
				t.Errorf("%d a minute: full at %s, and it is %s", rate, b.pool.Full, b.now)
			}
			for name, until := range b.pool.Leases {
				if until.After(b.now) && limit.Every < domain.Lease {
					t.Errorf("%d a minute: %s holds a lease until %s, and it is %s", rate, name, until, b.now)
				}
			}
		}
	}
}

func TestWhatADeadGatewayHeldIsThereAgainAfterALease(t *testing.T) {
	for _, rate := range rates {
		limit := domain.PerMinute(rate)
		b := newBudget(t, 1, limit, 2)
		for range 100 { // takes a slice
			b.ask(b.gates[0])
			b.pass(time.Millisecond)
		}
		b.pass(max(domain.Lease, limit.Every) + limit.Whole())
		before := b.gates[1].spent
		for range 10*limit.Burst + 1000 {
			b.ask(b.gates[1])
			b.pass(200 * time.Microsecond)
		}
		if got := b.gates[1].spent - before; got < limit.Burst*9/10 {
			t.Errorf("%d a minute: the other gateway got %d of a burst of %d", rate, got, limit.Burst)
		}
	}
}

func TestWhoWaitsAsLongAsHeIsToldIsServedByAnyGateway(t *testing.T) {
	for _, rate := range rates {
		limit := domain.PerMinute(rate)
		for seed := range uint64(20) {
			b := newBudget(t, seed, limit, 3)
			g := b.gates[0]
			for refused := false; !refused; b.pass(time.Millisecond) {
				for b.ask(g) {
					continue
				}
				refused = g.order == nil
			}
			b.pass(20 * time.Millisecond)
			if b.ask(g) {
				continue // it came due
			}
			other := b.gates[seed%3]
			b.pass(g.wait)
			if !b.ask(other) { // one that holds nothing asks the pool
				b.pass(20 * time.Millisecond)
				if !b.ask(other) {
					t.Errorf("%d a minute, seed %d: refused after %s", rate, seed, g.wait)
				}
			}
		}
	}
}

func TestAGatewayThatIsAloneSpendsItsPart(t *testing.T) {
	for _, rate := range []int{60, 600, 6000} {
		limit := domain.PerMinute(rate)
		b := newBudget(t, 1, limit, 2)
		for range 3 * limit.Burst {
			for _, g := range b.gates {
				b.ask(g)
			}
			b.pass(time.Millisecond)
		}
		for _, g := range b.gates {
			g.away = true
		}
		begin, before := b.now, b.spent
		for b.now.Sub(begin) < time.Minute {
			for _, g := range b.gates {
				b.ask(g)
			}
			b.pass(5 * time.Millisecond)
		}
		got, slices := b.spent-before, 2*limit.Slice()
		if got < int64(rate)*9/10 || got > int64(rate)+slices {
			t.Errorf("%d a minute: two gateways spent %d in a minute alone", rate, got)
		}
	}
	fresh := domain.NewShare(domain.PerMinute(60), time.Now())
	fresh.Alone(time.Now())
	if !fresh.Spend(time.Now()) {
		t.Error("a gateway that never reached the pool refuses the first request")
	}
}

func TestAClockThatIsAheadStopsNobodyForLong(t *testing.T) {
	limit := domain.PerMinute(600)
	now := time.Unix(1_800_000_000, 0)
	ahead := limit.Exchange(domain.Pool{}, domain.Order{Gateway: "a", Tokens: 1}, now.Add(time.Hour))
	p := limit.Exchange(ahead.Pool, domain.Order{Gateway: "b", Tokens: 1}, now)
	if wait := p.From.Sub(now); wait > 10*time.Second {
		t.Errorf("the next one waits %s", wait)
	}
}

func TestTheLevelTellsWhatIsLeft(t *testing.T) {
	limit := domain.PerMinute(6000)
	now := time.Unix(1_800_000_000, 0)
	s := domain.NewShare(limit, now)
	if got, want := s.Level(now), (domain.Level{Limit: 600, Remaining: 600}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	s.Spend(now)
	s.Spend(now)
	if got, want := s.Level(now), (domain.Level{Limit: 600, Remaining: 598, Reset: 20 * time.Millisecond}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestABudgetsBurst(t *testing.T) {
	for rate, want := range map[int]domain.Limit{
		-1: {}, 0: {}, 1: {1, time.Minute}, 7: {7, time.Minute / 7}, 60: {10, time.Second}, 6000: {600, 10 * time.Millisecond},
	} {
		if got := domain.PerMinute(rate); got != want {
			t.Errorf("%d a minute: %+v, want %+v", rate, got, want)
		}
	}
}
