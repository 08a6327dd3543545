package domain

import (
	"net/http"
	"time"
)

// Policy says what becomes of an event that an endpoint did not take.
type Policy struct {
	Backoff
	// GiveUp is after how long an event is given up, DisableAfter after how long of
	// nothing but failures the endpoint.
	GiveUp, DisableAfter time.Duration
}

// Verdict is what becomes of an event after an attempt.
type Verdict int

// The verdicts.
const (
	Delivered Verdict = iota
	Retry             // the event is tried again, and those behind it wait
	Dead              // the event is given up; the next one is tried
	Disable           // nothing more is sent; the event waits
)

// Try is an attempt that was made, and what came before it.
type Try struct {
	Status     int           // of the answer, 0 where there was none
	RetryAfter time.Duration // as the endpoint wants it, 0 where it does not say
	// Cut says that the answer's body was longer or slower than it is read, or broke off.
	Cut bool
	// RetryClientErrors treats 4xx as 5xx.
	RetryClientErrors bool

	Failures     int       // that came before, without one that went well
	FailingSince time.Time // of the first of them, zero where there is none
	// Since is since when the event could be delivered: when it happened, or the
	// endpoint was enabled.
	Since  time.Time
	Now    time.Time
	Random float64 // in [0,1)
}

// cutPause is how long nothing is sent after an answer that was cut off. Each costs a
// connection, and as many bytes as a hundred others.
const cutPause = 100 * time.Millisecond

// Judge decides what becomes of an event, why in words where the endpoint is
// disabled, and for how long nothing is sent to the endpoint.
func (p Policy) Judge(t Try) (verdict Verdict, reason string, pause time.Duration) {
	least := time.Duration(0)
	if t.Cut {
		least = cutPause
	}
	if t.Status >= 200 && t.Status < 300 {
		return Delivered, "", least
	}
	if t.Status == http.StatusGone {
		return Disable, "it answered 410 Gone", 0
	}
	pause = max(p.After(t.Failures+1, t.Random), min(t.RetryAfter, p.Max))
	failing := t.FailingSince
	if failing.IsZero() {
		failing = t.Now
	}
	if t.Now.Sub(failing) >= p.DisableAfter {
		return Disable, "every attempt has failed since " + failing.UTC().Format(time.RFC3339), 0
	}
	if final(t.Status) && !t.RetryClientErrors {
		return Dead, "", least // it lives, and does not want this one
	}
	if failing.After(t.Since) {
		t.Since = failing
	}
	if t.Now.Sub(t.Since) >= p.GiveUp {
		return Dead, "", pause
	}
	return Retry, "", pause
}

// final tells whether the same request would be answered so again.
func final(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}
