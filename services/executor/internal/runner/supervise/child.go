package supervise

import (
	"errors"
	"maps"
	"os"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/confine"
	"github.com/orchard9/rdev/services/executor/internal/runner/process"
)

// politeSweeps is the number of sweeps that spare the guard, which ends when the
// rest has, and tells how the program did.
const politeSweeps = 3

// child is the guard with everything below it.
type child struct {
	guard  *confine.Guard
	exited chan confine.Report // how the program ended, once
	none   chan struct{}       // closed when no process is left below the supervisor
	sweeps int
}

func newChild(guard *confine.Guard) *child {
	return &child{guard: guard, exited: make(chan confine.Report, 1), none: make(chan struct{})}
}

// watch reaps everything that ends below the supervisor. The kernel hands the
// children of a process over before its parent can see that it ended, so where
// no child is left there is no descendant either.
func (c *child) watch() {
	told := make(chan struct{})
	go func() {
		defer close(told)
		if report, err := c.guard.Next(); err == nil {
			c.exited <- report
		}
	}()
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(-1, &status, 0, nil); err != nil && !errors.Is(err, unix.EINTR) {
			<-told
			close(c.none)
			return
		}
	}
}

// kill kills everything below the supervisor that it can see now; what it does
// not see, or cannot kill yet, is for the next time. seen, where it is not nil,
// collects what was alive but for the guard.
func (c *child) kill(seen map[process.Process]bool) {
	c.sweeps++
	spare := 0
	if c.sweeps <= politeSweeps {
		spare = c.guard.PID
	}
	process.KillBelow(os.Getpid(), spare, seen)
	maps.DeleteFunc(seen, func(p process.Process, _ bool) bool { return p.PID == c.guard.PID })
}
