package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Rates are what may come in a minute; 0 is without limit.
type Rates struct {
	Key     int // requests of each API key
	Project int // operations of each project
	All     int // requests of the installation
}

const (
	// exchangers is how many exchanges with the pools are under way at a time.
	exchangers = 8
	// exchangeTimeout bounds one: requests may wait for it.
	exchangeTimeout = 500 * time.Millisecond
	// patience is how long a request waits for tokens, where there are none here and
	// the pool may have some.
	patience = time.Second
	// poolAgain is after how long a pool is tried again that was not reached.
	poolAgain = time.Second
	// sweep is how often the shares are looked through for leases that end.
	sweep = time.Second
)

// Limiter holds the rate limits. It decides in memory, by what this gateway holds
// of each budget, and exchanges that with the pools that all gateways share in the
// background. While they cannot be reached it goes on with its part of the budgets.
type Limiter struct {
	pools   Pools
	gateway string
	log     *slog.Logger
	kinds   [3]kind

	mu     sync.RWMutex
	shares map[budget]*share

	due     chan *share
	away    atomic.Int64 // until when the pools are not tried, in Unix nanoseconds
	refused atomic.Int64
}

// kind is what budgets of one kind have in common.
type kind struct {
	limit domain.Limit
	// pool begins the names of the pools; detail says what was too much.
	pool, detail string
}

const (
	byKey = iota
	byProject
	ofAll
)

// budget names one.
type budget struct {
	kind int
	of   string // id of the key, slug of the project
}

// share is what this gateway holds of a budget.
type share struct {
	budget

	mu       sync.Mutex
	tokens   *domain.Share
	exchange chan struct{} // closed when the one is over that is under way; nil where none is
	gone     bool          // nobody finds it any more
}

// NewLimiter makes a limiter, to be run with Run; gateway tells it from others.
func NewLimiter(pools Pools, gateway string, rates Rates, log *slog.Logger) *Limiter {
	return &Limiter{
		pools: pools, gateway: gateway, log: log, shares: map[budget]*share{}, due: make(chan *share, 1024),
		kinds: [3]kind{
			byKey:     {domain.PerMinute(rates.Key), "key.", "this API key makes more requests than the %d a minute that it may"},
			byProject: {domain.PerMinute(rates.Project), "project.", "more operations are started in this project than the %d a minute that may be"},
			ofAll:     {domain.PerMinute(rates.All), "all.", "this installation gets more requests than the %d a minute that it takes"},
		},
	}
}

// Request counts a request of an API key, or refuses it with RATE_LIMITED. The
// level is that of the limit with the least left; zero where there is none.
func (l *Limiter) Request(ctx context.Context, key string) (domain.Level, error) {
	level, undo, err := l.take(ctx, budget{byKey, key})
	if err != nil {
		return level, err
	}
	all, _, err := l.take(ctx, budget{ofAll, "requests"})
	if err != nil {
		undo()
	}
	return level.Tighter(all), err
}

// Start counts an operation that is to be started in a project, or refuses it with
// RATE_LIMITED.
func (l *Limiter) Start(ctx context.Context, project string) (domain.Level, error) {
	level, _, err := l.take(ctx, budget{byProject, project})
	return level, err
}

// Refused is how many requests were refused so far.
func (l *Limiter) Refused() int64 { return l.refused.Load() }

// take spends a token of a budget. It waits for the pool only where this gateway
// has none, and does not know when it will.
func (l *Limiter) take(ctx context.Context, b budget) (level domain.Level, undo func(), err error) {
	limit := l.kinds[b.kind].limit
	if limit.Burst == 0 {
		return level, func() {}, nil
	}
	var deadline <-chan time.Time
	for over := false; ; {
		s := l.find(b)
		now := time.Now()
		ok := s.tokens.Spend(now)
		pending := l.renew(s, now)
		promised := s.tokens.Promised()
		level = s.tokens.Level(now)
		wait := s.tokens.Wait(now)
		s.mu.Unlock()
		if ok {
			return level, s.undo, nil
		}
		if over || promised || pending == nil {
			l.refused.Add(1)
			level.Remaining = 0
			return level, nil, l.refusal(b, wait)
		}
		if deadline == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			deadline = timer.C
		}
		select {
		case <-pending:
		case <-deadline:
			over = true
		case <-ctx.Done():
			return level, nil, context.Cause(ctx)
		}
	}
}

func (l *Limiter) refusal(b budget, wait time.Duration) error {
	rate := int64(time.Minute / l.kinds[b.kind].limit.Every)
	return &contract.Error{
		Code: contract.CodeRateLimited, RetryAfter: wait,
		Detail: fmt.Sprintf(l.kinds[b.kind].detail, rate) + "; ask again after the seconds in Retry-After, and less often",
	}
}

func (s *share) undo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens.Return()
}

// find is this gateway's share of a budget, locked.
func (l *Limiter) find(b budget) *share {
	for {
		l.mu.RLock()
		s := l.shares[b]
		l.mu.RUnlock()
		if s == nil {
			l.mu.Lock()
			if s = l.shares[b]; s == nil {
				s = &share{budget: b, tokens: domain.NewShare(l.kinds[b.kind].limit, time.Now())}
				l.shares[b] = s
			}
			l.mu.Unlock()
		}
		if s.mu.Lock(); !s.gone {
			return s
		}
		s.mu.Unlock()
	}
}
