package app_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// pools are kept in memory, a round trip away.
type pools struct {
	mu    sync.Mutex
	away  bool
	known map[string]domain.Pool
	asked int
}

func (p *pools) UpdatePool(ctx context.Context, name string, change func(domain.Pool) domain.Pool) error {
	select {
	case <-time.After(3 * time.Millisecond):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.away {
		return errors.New("nats: away")
	}
	if p.known == nil {
		p.known = map[string]domain.Pool{}
	}
	p.known[name] = change(p.known[name])
	return nil
}

func (p *pools) set(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

func (p *pools) exchanges() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// limiters are so many gateways, in the bubble of a test.
func limiters(t *testing.T, n int, rates app.Rates) (*pools, []*app.Limiter) {
	t.Helper()
	shared := &pools{}
	var all []*app.Limiter
	for i := range n {
		l := app.NewLimiter(shared, string(rune('a'+i)), rates, slog.New(slog.DiscardHandler))
		all = append(all, l)
		go func() { _ = l.Run(t.Context()) }() // the bubble waits for it
	}
	return shared, all
}

// served is how many of n requests, that come at the same time, are.
func served(t *testing.T, l *app.Limiter, key string, n int) (ok int) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, err := l.Request(t.Context(), key)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				ok++
			case codeOf(err) != contract.CodeRateLimited:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	return ok
}

func TestABurstAtOneGatewayIsServedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, all := limiters(t, 2, app.Rates{Key: 6000})
		if got := served(t, all[0], "k", 500); got != 500 {
			t.Errorf("%d of 500 were served, and the burst is 600", got)
		}
	})
}

func TestSeveralGatewaysServeOneBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, all := limiters(t, 3, app.Rates{Key: 600})
		const seconds, slices, burst = 60, 3 * 15, 60
		total := 0
		for range seconds * 10 {
			for _, l := range all {
				total += served(t, l, "k", 5)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if most := seconds*10 + burst + slices + 60; total > most || total < seconds*10*9/10 {
			t.Errorf("%d were served in a minute, of 600 to %d", total, most)
		}
	})
}

func TestRequestsThatComeNowAndThenWaitForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, all := limiters(t, 1, app.Rates{Key: 6000, All: 60_000})
		for range 100 {
			begin := time.Now()
			if served(t, all[0], "k", 1) != 1 || time.Since(begin) != 0 {
				t.Fatalf("waited %s", time.Since(begin))
			}
			time.Sleep(time.Second)
		}
		if n := shared.exchanges(); n == 0 || n > 2*100/4 {
			t.Errorf("%d exchanges for 100 requests", n)
		}
		// The share of a key that is not used is forgotten.
		time.Sleep(time.Minute)
		before := shared.exchanges()
		time.Sleep(time.Hour)
		if n := shared.exchanges(); n != before {
			t.Errorf("%d exchanges for nothing", n-before)
		}
	})
}

func TestWhoIsRefusedIsToldWhenToComeAgain(t *testing.T) {
	for _, rate := range []int{1, 20, 600, 6000} {
		synctest.Test(t, func(t *testing.T) {
			shared, all := limiters(t, 2, app.Rates{Key: rate})
			var refused *contract.Error
			for refused == nil {
				_, err := all[0].Request(t.Context(), "k")
				refused, _ = errors.AsType[*contract.Error](err)
			}
			before := shared.exchanges()
			for range 1000 {
				if _, err := all[0].Request(t.Context(), "k"); err == nil {
					t.Fatal("served in the same moment")
				}
			}
			if n := shared.exchanges(); n != before {
				t.Errorf("%d exchanges for refusals", n-before)
			}
			time.Sleep(refused.RetryAfter)
			if _, err := all[1].Request(t.Context(), "k"); err != nil {
				t.Errorf("%d a minute, after %s: %v", rate, refused.RetryAfter, err)
			}
			if all[0].Refused() < 1000 {
				t.Errorf("%d were counted", all[0].Refused())
			}
		})
	}
}

func TestAGatewayWithoutNATSServesItsPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, all := limiters(t, 2, app.Rates{Key: 600})
		minute := func(limiters ...*app.Limiter) (total int) {
			for range 600 {
				for _, l := range limiters {
					total += served(t, l, "k", 3)
				}
				time.Sleep(100 * time.Millisecond)
			}
			return total
		}
		minute(all...)
		shared.set(true)
		if got := minute(all...); got < 500 || got > 600+2*15+60 {
			t.Errorf("two gateways without NATS served %d in a minute, of 600", got)
		}
		// One that nobody knows yet is let in: nothing says that it makes too much.
		if got := served(t, all[0], "new", 5); got != 5 {
			t.Errorf("%d of 5 of a key that is new were served", got)
		}
		shared.set(false)
		time.Sleep(10 * time.Second)
		if got := minute(all...); got < 500 || got > 600+2*15+60 {
			t.Errorf("with NATS again they served %d in a minute, of 600", got)
		}
	})
}

func TestARequestThatTheCeilingRefusesIsNotCountedOnItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, all := limiters(t, 1, app.Rates{Key: 600, All: 10})
		for i := range 300 {
			_, err := all[0].Request(t.Context(), "a")
			if refused := err != nil; refused != (i >= 10) || refused && !strings.Contains(err.Error(), "installation") {
				t.Fatalf("request %d, of a burst of 10: %v", i, err)
			}
		}
		time.Sleep(time.Minute)
		level, err := all[0].Request(t.Context(), "a")
		if err != nil || level.Limit != 10 {
			t.Errorf("%+v, %v", level, err)
		}
	})
}

func TestLimitsThatAreOffLimitNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, all := limiters(t, 1, app.Rates{})
		for range 1000 {
			if level, err := all[0].Request(t.Context(), "k"); err != nil || level != (domain.Level{}) {
				t.Fatal(level, err)
			}
			if _, err := all[0].Start(t.Context(), "shop"); err != nil {
				t.Fatal(err)
			}
		}
		if shared.exchanges() > 0 {
			t.Error("NATS was asked")
		}
	})
}

func TestStreamsAreCountedUntilTheyEnd(t *testing.T) {
	s := app.NewStreams(2, 3)
	open := func(key string, want contract.Code) func() {
		t.Helper()
		done, err := s.Open(key)
		if codeOf(err) != want {
			t.Fatalf("%v, want %q", err, want)
		}
		return done
	}
	first := open("a", "")
	open("a", "")
	open("a", contract.CodeRateLimited)
	open("b", "")
	open("c", contract.CodeRateLimited)
	first()
	first() // harmless
	if s.Opened() != 2 {
		t.Errorf("%d are open", s.Opened())
	}
	open("c", "")
	open("a", contract.CodeRateLimited)
}

// BenchmarkRequest is the check of both limits of a request; its mark is 1 µs.
func BenchmarkRequest(b *testing.B) {
	l := app.NewLimiter(&pools{}, "a", app.Rates{Key: math.MaxInt32, All: math.MaxInt32}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = l.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	for b.Loop() {
		if _, err := l.Request(ctx, "k"); err != nil {
			b.Fatal(err)
		}
	}
}
