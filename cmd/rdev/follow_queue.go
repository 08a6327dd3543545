package main

import (
	"fmt"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// queueNews knows what of work's way through the queue was told already. The zero
// queueNews has told nothing.
type queueNews struct {
	began bool
	tries int // that failed and were told
	told  place
}

// place is where work stands in the queue.
type place struct {
	state  contract.State
	worker string
}

// news are the lines that a snapshot of an operation adds: that it is queued, where it
// runs, and which of its tries failed. A try from before the first snapshot is news
// only while the next one is waited for.
func (q *queueNews) news(op contract.Operation, now time.Time) []string {
	if op.Work == nil || op.Held {
		return nil
	}
	var lines []string
	tries, waits := op.Work.Tries, op.State == contract.Pending
	if !q.began {
		q.began, q.tries = true, len(tries)
		if waits {
			q.tries = max(len(tries)-1, 0)
		}
	}
	for ; q.tries < len(tries); q.tries++ {
		line := fmt.Sprintf("attempt %d failed: %s; tried again", q.tries+1, render.Reason(tries[q.tries].Failure))
		q.told = place{}
		if waits && q.tries+1 == len(tries) {
			line += " " + render.Due(now, op.Work.RunAt)
			q.told = place{state: op.State}
		}
		lines = append(lines, line)
	}
	at := place{op.State, op.Worker()}
	if op.State.Ended() || at == q.told {
		return lines
	}
	q.told = at
	if !waits {
		return append(lines, "running on "+render.Line(at.worker))
	}
	line := "queued"
	if render.Delayed(now, op) {
		line += ", due " + render.Due(now, op.Work.RunAt)
	}
	return append(lines, line)
}
