package testcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// cgroupName is the cgroup of all pods, in every hierarchy.
const cgroupName = "rdev-testcluster"

// node is the process that holds the namespaces. Closing stdin ends it.
type node struct {
	dir   string
	cmd   *exec.Cmd
	stdin io.Closer
	calls *rpc.Client
	log   *os.File      // what it says
	ended chan struct{} // closed with the process
	err   error         // how it ended; valid then
}

// startNode starts the program that holds the namespaces, and gives it the lock,
// which it holds until it has removed all.
func startNode(program, dir string, lock *os.File) (*node, error) {
	log, err := os.Create(filepath.Join(dir, protocol.Logs, "node.log"))
	if err != nil {
		return nil, err
	}
	n := &node{dir: dir, log: log, ended: make(chan struct{})}
	n.cmd = exec.Command(program, "-dir", dir, "-cgroup", cgroupName) //nolint:noctx // it ends when stdin is closed
	n.cmd.Stderr = log
	n.cmd.ExtraFiles = []*os.File{lock}
	n.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Setsid:     true, // a terminal's interrupt is for the test
	}
	stdin, err := n.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("make namespaces (root may, unless a container forbids it): %w", err), log.Close())
	}
	n.stdin = stdin
	n.calls = rpc.NewClient(stdio{stdout, stdin})
	go func() {
		defer close(n.ended)
		n.err = n.cmd.Wait()
	}()
	return n, nil
}

// stdio is the connection to the node.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// call calls a method of the node and waits for it, or for ctx.
func (n *node) call(ctx context.Context, method string, args, reply any) error {
	call := n.calls.Go("Node."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if errors.Is(call.Error, rpc.ErrShutdown) || errors.Is(call.Error, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the node has ended: %s", n.lastWords("node"))
		}
		return call.Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start starts a component.
func (n *node) start(ctx context.Context, p protocol.Process) error {
	if err := n.call(ctx, "Start", p, nil); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	return nil
}

// run runs a program to its end; one that ends with another code than 0 failed.
func (n *node) run(ctx context.Context, p protocol.Process) error {
	var result protocol.Result
	if err := n.call(ctx, "Run", p, &result); err != nil {
		return fmt.Errorf("run %s: %w", p.Path, err)
	}
	if result.Code != 0 {
		return fmt.Errorf("%s ended with code %d: %s", p.Path, result.Code, result.Output)
	}
	return nil
}

// await calls ready until it returns nil, ctx ends, or a component has failed.
func (n *node) await(ctx context.Context, what string, ready func(context.Context) error) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		last := ready(ctx)
		if last == nil {
			return nil
		}
		if err := n.failed(ctx); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w: %w", what, ctx.Err(), last)
		}
	}
}

// failed is an error where a component has ended by itself, with what it said last.
func (n *node) failed(ctx context.Context) error {
	failed := map[string]string{}
	if err := n.call(ctx, "Failed", struct{}{}, &failed); err != nil {
		return err
	}
	var errs []error
	for name, how := range failed {
		errs = append(errs, fmt.Errorf("%s %s: %s", name, how, n.lastWords(name)))
	}
	return errors.Join(errs...)
}

// lastWords are the last lines of a component's log.
func (n *node) lastWords(name string) string {
	const most = 5
	log, err := os.ReadFile(filepath.Join(n.dir, protocol.Logs, name+".log"))
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.Split(string(log), "\n"), func(l string) bool { return l == "" })
	return "\n\t" + strings.Join(lines[max(0, len(lines)-most):], "\n\t")
}

// allLastWords are the last lines of every log.
func (n *node) allLastWords() string {
	var all strings.Builder
	logs, err := filepath.Glob(filepath.Join(n.dir, protocol.Logs, "*.log"))
	if err != nil {
		return err.Error()
	}
	for _, log := range logs {
		name := strings.TrimSuffix(filepath.Base(log), ".log")
		fmt.Fprintf(&all, "%s says last:%s\n", name, n.lastWords(name))
	}
	return all.String()
}

// stop ends everything in the namespaces and waits until all is removed. The logs
// become the directory kept, unless that is empty.
func (n *node) stop(kept string) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	if kept != "" {
		errs = append(errs, n.call(ctx, "Keep", kept, nil))
	}
	errs = append(errs, disconnect(), n.stdin.Close())
	select {
	case <-n.ended:
	case <-ctx.Done():
		errs = append(errs, errors.New("the node did not end, and was killed"), n.cmd.Process.Kill())
		<-n.ended
	}
	if n.err != nil {
		said := make([]byte, 4<<10)
		size, _ := n.log.ReadAt(said, 0) // nobody can name the file any more, but it is there
		errs = append(errs, fmt.Errorf("the node failed: %w: %s", n.err, said[:size]))
	}
	return errors.Join(append(errs, n.log.Close())...)
}
