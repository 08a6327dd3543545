package process

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrSurvivors is returned where processes of a run did not end.
var ErrSurvivors = errors.New("processes did not end")

// sweepPause is the time between two looks at the processes of the machine.
const sweepPause = 5 * time.Millisecond

// Orphans names the processes of a run whose supervisor is gone.
type Orphans struct {
	Mark string
	// Leader, where it is not zero, was the leader of the run's session.
	Leader Process
}

// Sweep kills the orphans, and all that descends from them, until none is left
// or ctx ends. It returns how many it killed.
func Sweep(ctx context.Context, orphans Orphans) (int, error) {
	ticker := time.NewTicker(sweepPause)
	defer ticker.Stop()
	killed := map[Process]bool{}
	for {
		table, err := Table()
		if err != nil {
			return len(killed), err
		}
		found := orphans.in(table)
		if len(found) == 0 {
			return len(killed), nil
		}
		for _, process := range found {
			if err := Kill(process); err != nil {
				return len(killed), fmt.Errorf("kill process %d: %w", process.PID, err)
			}
			killed[Process{PID: process.PID, Start: process.Start}] = true
		}
		select {
		case <-ctx.Done():
			return len(killed), fmt.Errorf("%w: %d left", ErrSurvivors, len(found))
		case <-ticker.C:
		}
	}
}

// in finds the orphans of a table. A process is known by the mark that it
// inherited, by the session of the leader, or by descent from one of these.
func (o Orphans) in(table []Process) []Process {
	session := o.Leader.PID
	for _, process := range table {
		if process.PID == session && process.Start != o.Leader.Start {
			session = 0 // the number has gone to a stranger
		}
	}
	var found []Process
	var roots []int
	for _, process := range table {
		if process.Zombie {
			continue
		}
		if (session != 0 && process.Session == session) || Marked(process.PID, o.Mark) {
			found = append(found, process)
			roots = append(roots, process.PID)
		}
	}
	for _, process := range Below(table, roots...) {
		if !process.Zombie {
			found = append(found, process)
		}
	}
	return found
}
