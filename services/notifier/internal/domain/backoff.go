package domain

import "time"

// Backoff says how long to wait after attempts that failed.
type Backoff struct {
	Base time.Duration // after the first
	Max  time.Duration // no pause is longer
}

// After is the pause after a number of failed attempts, from 1: it doubles each
// time, and random in [0,1) takes up to a fifth off, so that what failed together
// does not come again together.
func (b Backoff) After(failed int, random float64) time.Duration {
	pause := b.Base
	for n := 1; n < failed && pause < b.Max; n++ {
		pause *= 2
	}
	pause = min(pause, b.Max)
	return pause - time.Duration(float64(pause)/5*random)
}
