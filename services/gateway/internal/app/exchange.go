package app

import (
	"context"
	"sync"
	"time"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// renew has an exchange made where one is due, and returns what is closed when the
// one is over that is under way, nil where none is. The share is locked.
func (l *Limiter) renew(s *share, now time.Time) <-chan struct{} {
	if s.exchange == nil && s.tokens.Due(now) {
		l.order(s, now)
	}
	return s.exchange
}

// order has an exchange made; where too many are due, the next request or the sweep
// asks again. The share is locked.
func (l *Limiter) order(s *share, now time.Time) {
	if now.UnixNano() < l.away.Load() {
		s.tokens.Alone(now)
		return
	}
	select {
	case l.due <- s:
		s.exchange = make(chan struct{})
	default:
	}
}

// Run exchanges tokens until ctx is done. What this gateway holds then is lost to
// the others, for no longer than the budgets take to gain it: less than a lease.
func (l *Limiter) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range exchangers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case s := <-l.due:
					l.trade(ctx, s)
				}
			}
		})
	}
	tick := time.NewTicker(sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return nil
		case <-tick.C:
			l.sweep()
		}
	}
}

// sweep renews the leases that end, and forgets shares that are as new ones.
func (l *Limiter) sweep() {
	l.mu.RLock()
	all := make([]*share, 0, len(l.shares))
	for _, s := range l.shares {
		all = append(all, s)
	}
	l.mu.RUnlock()
	for _, s := range all {
		s.mu.Lock()
		idle := s.exchange == nil && s.tokens.Idle()
		s.gone = idle
		if now := time.Now(); s.exchange == nil && s.tokens.Over(now) {
			l.order(s, now)
		}
		s.mu.Unlock()
		if idle {
			l.mu.Lock()
			delete(l.shares, s.budget)
			l.mu.Unlock()
		}
	}
}

// trade makes the exchange that is due for a share.
func (l *Limiter) trade(ctx context.Context, s *share) {
	kind := l.kinds[s.kind]
	s.mu.Lock()
	order := s.tokens.Begin(l.gateway, time.Now())
	s.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	var got domain.Portion
	err := l.pools.UpdatePool(ctx, kind.pool+s.of, func(p domain.Pool) domain.Pool {
		got = kind.limit.Exchange(p, order, time.Now().UTC())
		return got.Pool
	})

	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err == nil {
		s.tokens.Settle(got, now)
	} else {
		s.tokens.Alone(now)
		if before := l.away.Swap(now.Add(poolAgain).UnixNano()); before < now.UnixNano() {
			l.log.Warn("rate limits: this gateway goes on with its part of the budgets", "error", err)
		}
	}
	close(s.exchange)
	s.exchange = nil
}
