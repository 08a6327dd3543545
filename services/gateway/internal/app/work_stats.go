package app

import (
	"math"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// WorkStats counts what became of work in the last hour, as a fold of the log.
type WorkStats struct {
	mu      sync.Mutex
	due     map[string]waiting // what waits for a worker, by operation
	minutes [60]minute         // by the minute of the hour
}

// waiting is work of a project that is due since a time, which may be to come.
type waiting struct {
	since   time.Time
	project string
}

// minute is what happened in a minute.
type minute struct {
	begin    time.Time
	projects map[string]*tally
	workers  map[string]*tally
}

// tally counts ends, and how long work had waited that began.
type tally struct {
	completed, failed, cancelled, retried int
	waits                                 [waitClasses]uint32
}

// Waits are counted in classes, each a fifth longer than the one before: up to eleven
// days.
const (
	waitClasses = 100
	waitLeast   = 10 * time.Millisecond
	waitFactor  = 1.2
)

// NewWorkStats has counted nothing.
func NewWorkStats() *WorkStats { return &WorkStats{due: map[string]waiting{}} }

// Apply implements Reader.
func (s *WorkStats) Apply(at time.Time, prev *contract.Operation, op contract.Operation) {
	if op.Work == nil || op.Held {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch op.State {
	case contract.Pending:
		since := at
		if op.Work.RunAt != nil && op.Work.RunAt.After(at) {
			since = *op.Work.RunAt
		}
		s.due[op.ID] = waiting{since, op.Project}
		if prev != nil && prev.State == contract.Running {
			s.count(at, op.Project, prev.Lane.Key, func(t *tally) { t.retried++ })
		}
	case contract.Running:
		due, waited := s.due[op.ID]
		delete(s.due, op.ID)
		if waited {
			s.count(at, op.Project, "", func(t *tally) { t.waits[waitClass(at.Sub(due.since))]++ })
		}
	case contract.Completed, contract.Failed, contract.Cancelled:
		delete(s.due, op.ID)
		s.count(at, op.Project, op.Lane.Key, func(t *tally) {
			switch op.State {
			case contract.Completed:
				t.completed++
			case contract.Failed:
				t.failed++
			default:
				t.cancelled++
			}
		})
	}
}

// Live implements Reader.
func (*WorkStats) Live() {}

// count counts for a project, and for a worker where there is one.
func (s *WorkStats) count(at time.Time, project, worker string, what func(*tally)) {
	begin := at.Truncate(time.Minute)
	m := &s.minutes[at.Minute()]
	if begin.After(m.begin) {
		*m = minute{begin: begin, projects: map[string]*tally{}, workers: map[string]*tally{}}
	}
	if begin.Before(m.begin) {
		return // an hour ago
	}
	what(tallyOf(m.projects, project))
	if worker != "" {
		what(tallyOf(m.workers, worker))
	}
}

func tallyOf(all map[string]*tally, name string) *tally {
	if all[name] == nil {
		all[name] = &tally{}
	}
	return all[name]
}

func waitClass(wait time.Duration) int {
	if wait <= waitLeast {
		return 0
	}
	return min(int(math.Ceil(math.Log(float64(wait)/float64(waitLeast))/math.Log(waitFactor))), waitClasses-1)
}

// waitOf is the longest wait of a class.
func waitOf(class int) time.Duration {
	return time.Duration(float64(waitLeast) * math.Pow(waitFactor, float64(class)))
}

// add adds what another tally has.
func (t *tally) add(other *tally) {
	t.completed += other.completed
	t.failed += other.failed
	t.cancelled += other.cancelled
	t.retried += other.retried
	for i, n := range other.waits {
		t.waits[i] += n
	}
}

// quantile is the wait that a share of the work did not exceed, 0 where there was none.
func (t *tally) quantile(share float64) time.Duration {
	total := uint32(0)
	for _, n := range t.waits {
		total += n
	}
	if total == 0 {
		return 0
	}
	left := int64(math.Ceil(share * float64(total)))
	for class, n := range t.waits {
		if left -= int64(n); left <= 0 {
			return waitOf(class)
		}
	}
	return waitOf(waitClasses - 1)
}

// oldest is how long the work has waited that has waited longest, of projects that are
// seen.
func (s *WorkStats) oldest(now time.Time, seen func(project string) bool) (age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.due {
		if seen(w.project) {
			age = max(age, now.Sub(w.since))
		}
	}
	return age
}

// sums are the counts of the hour before now, of projects that are seen, and of all
// workers.
func (s *WorkStats) sums(now time.Time, seen func(project string) bool) (all tally, workers map[string]*tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	workers = map[string]*tally{}
	for _, m := range s.minutes {
		if now.Sub(m.begin) > time.Hour {
			continue
		}
		for project, t := range m.projects {
			if seen(project) {
				all.add(t)
			}
		}
		for worker, t := range m.workers {
			tallyOf(workers, worker).add(t)
		}
	}
	return all, workers
}
