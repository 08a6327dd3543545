package domain

import "time"

// Backoff says when a delivery that failed is tried again.
type Backoff struct {
	Base        time.Duration // before the second attempt
	Max         time.Duration // no pause is longer
	MaxAttempts int           // then the delivery is dead
}

// After is the pause after the given number of failed attempts, from 1: it
// doubles each time, and random in [0,1) takes up to a fifth off, so that what
// failed together does not come again together. It reports false after the
// last attempt.
func (b Backoff) After(failed int, random float64) (time.Duration, bool) {
	if failed >= b.MaxAttempts {
		return 0, false
	}
	pause := b.Base
	for n := 1; n < failed && pause < b.Max; n++ {
		pause *= 2
	}
	pause = min(pause, b.Max)
	return pause - time.Duration(float64(pause)/5*random), true
}
