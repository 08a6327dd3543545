package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// Node is what the test process may call. It is safe for concurrent use.
type Node struct {
	dir      string
	children *children

	mu      sync.Mutex
	running map[string]*child // components, by name
	failed  map[string]string // components that ended and were not killed, and how
	kept    string            // where the logs go at the end, or empty
}

// Start starts a component, whose output goes to its log.
func (n *Node) Start(p protocol.Process, _ *struct{}) error {
	log, err := os.OpenFile(filepath.Join(n.dir, protocol.Logs, p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the component has its own
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running[p.Name] != nil {
		return fmt.Errorf("%s is running", p.Name)
	}
	c, err := n.children.start(p, log)
	if err != nil {
		return err
	}
	if n.running == nil {
		n.running, n.failed = map[string]*child{}, map[string]string{}
	}
	n.running[p.Name] = c
	go n.watch(p.Name, c)
	return nil
}

// watch notes the end of a component; it ends with it.
func (n *Node) watch(name string, c *child) {
	<-c.done
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running[name] == c {
		delete(n.running, name)
		n.failed[name] = fmt.Sprintf("ended with code %d", code(c.status))
	}
}

// Kill ends a component at once, without a chance to tidy up.
func (n *Node) Kill(name string, _ *struct{}) error {
	n.mu.Lock()
	c := n.running[name]
	delete(n.running, name)
	n.mu.Unlock()
	if c == nil {
		return fmt.Errorf("%s is not running", name)
	}
	if err := syscall.Kill(c.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	<-c.done
	return nil
}

// Failed returns the components that ended by themselves, and how.
func (n *Node) Failed(_ struct{}, failed *map[string]string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	*failed = maps.Clone(n.failed)
	return nil
}

// Run runs a program to its end.
func (n *Node) Run(p protocol.Process, result *protocol.Result) error {
	output, err := os.CreateTemp(n.dir, "run-")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(output.Close(), os.Remove(output.Name())) }() // goes with dir
	c, err := n.children.start(p, output)
	if err != nil {
		return err
	}
	<-c.done
	said, err := os.ReadFile(output.Name())
	*result = protocol.Result{Code: code(c.status), Output: string(bytes.TrimSpace(said))}
	return err
}

// Keep makes the logs become a directory of that path at the end.
func (n *Node) Keep(path string, _ *struct{}) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept = path
	return nil
}

// child is a process that was started here.
type child struct {
	pid    int
	status syscall.WaitStatus // valid once done is closed
	done   chan struct{}
}

func code(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

// children reap. As the first process of its PID namespace this one inherits
// every orphan, so it waits for any process, and os/exec must not wait beside it.
type children struct {
	mu    sync.Mutex // held while a process is started, so that its end finds it noted
	known map[int]*child
	some  *sync.Cond // there is a process to wait for
}

// newChildren starts to reap, for as long as this process lives.
func newChildren() *children {
	c := &children{known: map[int]*child{}}
	c.some = sync.NewCond(&c.mu)
	go c.reap()
	return c
}

func (c *children) start(p protocol.Process, output *os.File) (*child, error) {
	if _, err := exec.LookPath(p.Path); err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }() // only read
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(p.Path, append([]string{p.Path}, p.Args...), &syscall.ProcAttr{
		Dir: "/", Env: p.Env, Files: []uintptr{null.Fd(), output.Fd(), output.Fd()},
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Path, err)
	}
	started := &child{pid: pid, done: make(chan struct{})}
	c.known[pid] = started
	c.some.Signal()
	return started, nil
}

func (c *children) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		c.mu.Lock()
		switch {
		case err == nil:
			if child := c.known[pid]; child != nil {
				delete(c.known, pid)
				child.status = status
				close(child.done)
			}
		case errors.Is(err, syscall.ECHILD):
			for len(c.known) == 0 {
				c.some.Wait()
			}
		}
		c.mu.Unlock()
	}
}
