package domain

import "time"

// Share is what one gateway holds of a budget, and decides by alone:
//
//	             Spend                      Settle, tokens due later
//	left ────────────────────▶ spent   left ◀──────── promised
//	  ▲                                                  ▲
//	  └── Settle, tokens due at once ── Begin ── Settle ─┘
//
// Begin and Settle enclose an exchange with the pool, of which there is one at a
// time. A gateway that cannot reach the pool says so with Alone: until the next
// Settle its share gains tokens by itself, as its part of the budget among the
// gateways that it knew of. An outage so adds one burst at most to what is spent,
// and refuses nobody because NATS is away; what would cost anything cannot be
// stored then.
type Share struct {
	limit Limit
	left  int64 // may be spent

	promised int64     // may be spent from due on
	due      time.Time // past where nothing is promised

	target int64     // to hold after the next exchange
	used   int64     // since the last one
	dry    bool      // since the last one somebody was refused
	until  time.Time // when what is left is renewed or given back

	pool    Pool // as of the last exchange
	settled bool // there was one

	alone bool
	since time.Time // up to when tokens were gained while alone
}

// NewShare is the share of a gateway that has not spent anything.
func NewShare(limit Limit, now time.Time) *Share {
	return &Share{limit: limit, left: limit.advance(), target: max(1, limit.advance()), until: now.Add(Lease)}
}

// Spend takes a token, or tells that there is none.
func (s *Share) Spend(now time.Time) bool {
	s.gain(now)
	if s.left == 0 {
		s.dry = true
		return false
	}
	s.left--
	s.used++
	return true
}

// Return undoes a Spend.
func (s *Share) Return() {
	s.left++
	s.used = max(0, s.used-1)
}

// gain adds what has come due.
func (s *Share) gain(now time.Time) {
	if s.promised > 0 && !now.Before(s.due) {
		s.left += s.promised
		s.promised = 0
	}
	if every := s.everyAlone(); s.alone && every > 0 {
		if n := int64(now.Sub(s.since) / every); n > 0 {
			s.left = max(s.left, min(s.left+n, s.limit.Slice()))
			s.since = s.since.Add(time.Duration(n) * every)
		}
	}
}

// everyAlone is how often a token comes while alone.
func (s *Share) everyAlone() time.Duration {
	return s.limit.Every * time.Duration(max(1, len(s.pool.Leases)))
}

// Due tells a request whether an exchange is due: what is left runs low, or the
// lease has ended.
func (s *Share) Due(now time.Time) bool {
	s.gain(now)
	return s.low() || s.Over(now)
}

// Over tells whether the lease has ended of a share that holds what has to be renewed
// or given back.
func (s *Share) Over(now time.Time) bool { return !now.Before(s.until) && !s.Idle() }

// low tells whether there is reason to ask before the lease ends.
func (s *Share) low() bool {
	return s.promised == 0 && (s.dry || s.used > 0) && s.left <= s.target/2
}

// Promised tells whether tokens come by themselves, so that there is nothing to
// ask for.
func (s *Share) Promised() bool { return s.promised > 0 }

// Idle tells whether a share is as a new one would be.
func (s *Share) Idle() bool {
	return s.used == 0 && !s.dry && s.promised == 0 && s.left == s.limit.advance()
}

// Begin is what to ask of the pool. What is given back may not be spent any more,
// whatever becomes of the exchange: the pool may have it.
func (s *Share) Begin(gateway string, now time.Time) Order {
	s.gain(now)
	o := Order{Gateway: gateway}
	if now.Before(s.until) { // it ran low
		s.target = min(2*s.target, s.limit.Slice())
	} else {
		s.target = max(1, s.limit.advance(), min(s.used, s.limit.Slice()))
		o.Idle = s.used == 0 && !s.dry
	}
	keep := s.target
	if o.Idle {
		keep = s.limit.advance()
	}
	s.used, s.dry = 0, false
	o.Tokens = keep - s.left - s.promised
	if back := -o.Tokens; back > 0 {
		due := min(back, s.promised)
		s.promised -= due
		s.left -= back - due
		if s.alone {
			o.Tokens = 0 // what it gained alone was never the pool's
		}
	}
	return o
}

// Settle takes what the pool granted.
func (s *Share) Settle(p Portion, now time.Time) {
	s.pool, s.settled, s.alone = p.Pool, true, false
	s.until = now.Add(Lease)
	switch {
	case p.Tokens <= 0:
	case p.From.After(now):
		s.promised, s.due = s.promised+p.Tokens, p.From
		s.until = p.From.Add(Lease)
	default:
		s.left += p.Tokens
	}
}

// Alone says that the pool was not reached. A share that never reached it begins
// with a slice.
func (s *Share) Alone(now time.Time) {
	s.until = now.Add(Lease)
	if s.alone {
		return
	}
	s.alone, s.since = true, now
	if !s.settled {
		s.left = max(s.left, s.limit.Slice())
	}
}

// Wait is how long a request that was refused has to wait until any gateway has a
// token, if nobody else asks.
func (s *Share) Wait(now time.Time) time.Duration {
	switch {
	case s.promised > 0:
		return max(0, s.due.Add(s.limit.Every).Sub(now))
	case s.alone:
		return max(0, s.since.Add(s.everyAlone()).Sub(now))
	}
	return max(0, s.pool.Full.Add(-s.limit.Whole()+s.limit.Every).Sub(now))
}

// Level is how much of a budget there is, as far as a gateway knows.
type Level struct {
	Limit, Remaining int64         // tokens
	Reset            time.Duration // until it is full, if nothing is spent
}

// Level is what there is of the budget: what this gateway holds, and what the pool
// had when it was seen last, with what it has gained since.
func (s *Share) Level(now time.Time) Level {
	there := s.limit.tokens(s.pool.Full, now) + s.left - s.limit.advance()
	remaining := max(0, min(there, s.limit.Burst))
	return Level{Limit: s.limit.Burst, Remaining: remaining, Reset: time.Duration(s.limit.Burst-remaining) * s.limit.Every}
}

// Tighter is the level with less left; the zero Level is that of no limit.
func (l Level) Tighter(other Level) Level {
	if other.Limit == 0 || l.Limit > 0 && l.Remaining <= other.Remaining {
		return l
	}
	return other
}
