// Package domain holds the order in which operations are carried out: which one
// every lane holds, as a pure function of the log.
package domain

import (
	"iter"
	"maps"
	"slices"
)

// Standing is where an operation stands, as far as the order is concerned.
type Standing int

// The standings of an operation.
const (
	Waiting Standing = iota
	Underway
	Over
)

// Queue knows which operation each lane is due to hold: the one that is under
// way, or else the one that has waited longest. Two queues that were fed the
// same events agree; one that was fed fewer names an operation that is over,
// which whoever takes it notices.
type Queue[Lane comparable] struct {
	lanes   map[Lane]*line
	waiting int
}

type line struct {
	underway string
	waiting  []string            // in the order of the log
	waits    map[string]struct{} // the same, to look an operation up
}

// NewQueue is the queue of an empty log.
func NewQueue[Lane comparable]() *Queue[Lane] { return &Queue[Lane]{lanes: map[Lane]*line{}} }

// Apply takes the next event of the log: where an operation stands after it.
// It tells whether the lane is due to hold another operation than before.
func (q *Queue[Lane]) Apply(lane Lane, id string, now Standing) (changed bool) {
	before, _ := q.Due(lane)
	l := q.lanes[lane]
	if l == nil {
		l = &line{waits: map[string]struct{}{}}
		q.lanes[lane] = l
	}
	switch now {
	case Waiting:
		if _, there := l.waits[id]; !there && l.underway != id {
			l.waiting = append(l.waiting, id)
			l.waits[id] = struct{}{}
			q.waiting++
		}
	case Underway:
		q.leave(l, id)
		l.underway = id
	case Over:
		q.leave(l, id)
	}
	if l.underway == "" && len(l.waiting) == 0 {
		delete(q.lanes, lane)
	}
	after, _ := q.Due(lane)
	return after != before
}

func (q *Queue[Lane]) leave(l *line, id string) {
	if l.underway == id {
		l.underway = ""
	}
	if _, there := l.waits[id]; !there {
		return
	}
	delete(l.waits, id)
	q.waiting--
	if l.waiting[0] == id { // nearly always
		l.waiting = l.waiting[1:]
		return
	}
	i := slices.Index(l.waiting, id)
	l.waiting = slices.Delete(l.waiting, i, i+1)
}

// Due is the operation that a lane is due to hold, or false where it is empty.
func (q *Queue[Lane]) Due(lane Lane) (id string, ok bool) {
	l := q.lanes[lane]
	switch {
	case l == nil:
		return "", false
	case l.underway != "":
		return l.underway, true
	}
	return l.waiting[0], true
}

// Underway tells whether a lane's operation was taken from it.
func (q *Queue[Lane]) Underway(lane Lane) bool {
	l := q.lanes[lane]
	return l != nil && l.underway != ""
}

// Lanes are the lanes that are due to hold something, in no order.
func (q *Queue[Lane]) Lanes() iter.Seq[Lane] { return maps.Keys(q.lanes) }

// Waiting is the number of operations that have not begun.
func (q *Queue[Lane]) Waiting() int { return q.waiting }

// WaitingFor is the number of operations of a lane that have not begun.
func (q *Queue[Lane]) WaitingFor(lane Lane) int {
	if l := q.lanes[lane]; l != nil {
		return len(l.waiting)
	}
	return 0
}
