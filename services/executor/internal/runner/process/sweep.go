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

// Sweep kills the processes that carry a mark, and all that descends from them,
// until none is left or ctx ends. It returns how many it killed. It is for what
// neither supervisor nor guard could end.
func Sweep(ctx context.Context, mark string) (int, error) {
	ticker := time.NewTicker(sweepPause)
	defer ticker.Stop()
	killed := map[Process]bool{}
	for {
		table, err := Table()
		if err != nil {
			return len(killed), err
		}
		found := marked(table, mark)
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

// marked finds the processes of a table that carry a mark or descend from one
// that does.
func marked(table []Process, mark string) []Process {
	var found []Process
	var roots []int
	for _, process := range table {
		if !process.Zombie && Marked(process.PID, mark) {
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
