package domain

import (
	"time"
)

// Lease is for how long a gateway holds tokens. One that spent none in a whole lease
// gives them back.
const Lease = 5 * time.Second

const (
	// minBurst is the least that may come at once, where a minute's budget allows it.
	minBurst = 10
	// chunk is for how long of a budget tokens are promised at a time, to a gateway
	// that finds none.
	chunk = Lease / 10
)

// Limit is a budget: a token bucket that holds Burst tokens and gains one Every so
// often. The zero Limit is none.
type Limit struct {
	Burst int64
	Every time.Duration
}

// PerMinute is the budget of so many tokens a minute, a tenth of which may be spent
// at once, or ten where that is more; none where rate is 0.
func PerMinute(rate int) Limit {
	if rate <= 0 {
		return Limit{}
	}
	n := int64(rate)
	return Limit{Burst: max(n/10, min(n, minBurst)), Every: max(time.Minute/time.Duration(n), 1)}
}

// Slice is the most that one gateway holds: what the budget gains in a lease, or a
// quarter of the burst where that is less, and at least one.
func (l Limit) Slice() int64 { return max(1, min(l.Burst/4, int64(Lease/l.Every))) }

// advance is what a gateway holds that was never asked: it decides about the
// first requests by itself.
func (l Limit) advance() int64 { return l.Slice() / 8 }

// Whole is how long an empty bucket takes to be full.
func (l Limit) Whole() time.Duration { return time.Duration(l.Burst) * l.Every }

// Pool is what all gateways share of a budget. Each takes slices of it and spends
// them by itself. With N gateways whose clocks agree, no more is spent in any span
// of time than it gains in that span, the burst, and N slices: what the gateways
// held when the span began. Clocks that differ add what it gains in the difference.
//
// A gateway that finds no token is promised the next: the pool is in debt then.
// Promises come due in the order in which they were given, and a gateway has one at
// a time, so that each waits for one slice of every other at most.
type Pool struct {
	// Full is when the bucket is full, if nothing more is taken: past where it is.
	Full time.Time `json:"full"`
	// Leases are the gateways that hold tokens of it, and until when.
	Leases map[string]time.Time `json:"leases,omitempty"`
}

// Order is what a gateway wants of a pool.
type Order struct {
	Gateway string
	// Tokens are those that it wants, or gives back where negative.
	Tokens int64
	// Idle says that it holds no more than its advance from then on.
	Idle bool
}

// Portion is what a gateway gets.
type Portion struct {
	Tokens int64
	// From is when they may be spent; in the past where at once.
	From time.Time
	// Pool is what is left.
	Pool Pool
}

// Exchange carries out an order: the portion has the pool after it. Whoever wants
// tokens gets one at least, and his part of what there is at most.
func (l Limit) Exchange(p Pool, o Order, now time.Time) Portion {
	leases := map[string]time.Time{}
	for gateway, until := range p.Leases {
		if until.After(now) {
			leases[gateway] = until
		}
	}
	leases[o.Gateway] = now.Add(Lease)
	gateways := int64(len(leases))

	// What is beyond all promises there can be is of a clock that is ahead, or of a
	// lower limit that holds no more.
	full := p.Full
	if last := now.Add(l.Whole() + time.Duration(gateways*l.Slice())*l.Every); full.After(last) {
		full = last
	}
	if full.Before(now) {
		full = now
	}
	n := o.Tokens
	if n > 0 {
		if there := l.tokens(full, now); there > 0 {
			n = min(n, max(1, there/gateways))
		} else {
			n = min(n, max(1, int64(chunk/l.Every)/gateways))
		}
	}
	full = full.Add(time.Duration(n) * l.Every)
	from := full.Add(-l.Whole())
	switch {
	case n > 0 && from.After(now):
		leases[o.Gateway] = from.Add(Lease)
	case o.Idle:
		delete(leases, o.Gateway)
	}
	return Portion{Tokens: n, From: from, Pool: Pool{Full: full, Leases: leases}}
}

// tokens are those in a bucket that is full at some time; none where it is in debt.
func (l Limit) tokens(full, now time.Time) int64 {
	if !full.After(now) {
		return l.Burst
	}
	return max(0, l.Burst-int64((full.Sub(now)+l.Every-1)/l.Every))
}
