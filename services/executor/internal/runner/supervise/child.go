package supervise

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/confine"
	"github.com/orchard9/rdev/services/executor/internal/runner/process"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// ending is how the program ended.
type ending struct {
	code   int
	signal string
}

// child is the program, or the init of the namespaces that it is in.
type child struct {
	pid    int
	init   *confine.Init
	exited chan ending   // how the program ended, once
	none   chan struct{} // closed when no process is left below the supervisor
}

// startChild starts the program of a run. Its standard files are the caller's
// to close.
func startChild(spec wire.Spec, files [3]*os.File) (*child, error) {
	c := &child{exited: make(chan ending, 1), none: make(chan struct{})}
	var err error
	if spec.Confine != nil && spec.Confine.Namespaces {
		c.init, err = confine.StartInNamespaces(spec, files)
		if err == nil {
			c.pid = c.init.PID
		}
	} else {
		c.pid, err = confine.Start(spec, files)
	}
	return c, err
}

// watch reaps everything that ends below the supervisor. The kernel hands the
// children of a process over before its parent can see that it ended, so where
// no child is left there is no descendant either.
func (c *child) watch() {
	told := make(chan struct{})
	go func() {
		defer close(told)
		if c.init == nil {
			return
		}
		if report, err := c.init.Next(); err == nil {
			c.exited <- ending{report.Code, report.Signal}
		}
	}()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			<-told
			close(c.none)
			return
		case pid == c.pid && c.init == nil:
			c.exited <- ending{confine.Code(status), confine.Signal(status)}
		}
	}
}

// terminate asks the program's group to end. Once the program was reaped the
// group's number may be a stranger's, so it is not to be called then.
func (c *child) terminate() {
	if c.init != nil {
		_ = unix.Kill(c.pid, unix.SIGTERM) // which passes it on
		return
	}
	_ = unix.Kill(-c.pid, unix.SIGTERM)
}

// kill kills everything below the supervisor that it can see now; what it does
// not see, or cannot kill yet, is for the next time. seen collects what was
// alive, without the child itself.
func (c *child) kill(seen map[process.Process]bool) {
	table, err := process.Table()
	if err != nil {
		return
	}
	for _, p := range process.Below(table, os.Getpid()) {
		if p.Zombie {
			continue
		}
		if p.PID != c.pid {
			seen[process.Process{PID: p.PID, Start: p.Start}] = true
		}
		_ = process.Kill(p)
	}
}
