package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

// again decides whether a failed try is followed by another, and when.
func (c *Client) again(ctx context.Context, try int, err error) (time.Duration, bool) {
	if try >= c.config.Tries || ctx.Err() != nil {
		return 0, false
	}
	delay := backoff(c.config.RetryDelay, try)
	if _, ok := errors.AsType[*UnreachableError](err); ok {
		return delay, true
	}
	problem, ok := errors.AsType[*Problem](err)
	if !ok || !transient(problem.Status) || problem.RetryAfter > retryCeiling {
		return 0, false
	}
	return max(delay, problem.RetryAfter), true
}

// transient tells whether the same request may fare better a little later. None
// of these answers comes from a gateway that has done what was asked.
func transient(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// backoff doubles from the first delay, up to 5 s, and spreads the clients of a
// gateway that comes back.
func backoff(first time.Duration, try int) time.Duration {
	delay := min(first<<min(try-1, 10), 5*time.Second)
	return delay/2 + rand.N(delay/2+1)
}

// pause waits, or returns the cause of the context's end.
func pause(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
