package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/orchard9/rdev/libs/lifeline"
)

// Patience with a server that was told to end, before the next harder signal.
const (
	termPatience = 10 * time.Second
	killPatience = 5 * time.Second
)

// Process is a server that ends with this process, however that ends.
type Process struct {
	process  *os.Process
	done     chan struct{}
	stopping chan struct{}
	stopOnce sync.Once
}

// Run starts a server, whose words go to the file log. It need not answer yet. The end of
// ctx is not its end.
func Run(ctx context.Context, program Program, log string, args ...string) (*Process, error) {
	return run(ctx, program, log, func(*Process, error) {}, args)
}

// run is Run, and calls atEnd with how the server ended before Done tells.
func run(ctx context.Context, program Program, log string, atEnd func(*Process, error), args []string) (*Process, error) {
	output, err := os.OpenFile(log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	ctx = context.WithoutCancel(ctx)
	server := exec.CommandContext(ctx, program.Path, args...)
	server.Env, server.Dir = append([]string{"LC_ALL=C"}, program.Env...), "/"
	server.Stdout, server.Stderr = output, output
	// A group of its own: Ctrl-C is for us, we stop the server when its users are done.
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		return nil, err
	}
	cut, err := lifeline.Tie(ctx, server.Process, "TERM")
	if err != nil {
		return nil, errors.Join(err, server.Process.Kill(), server.Wait())
	}
	p := &Process{process: server.Process, done: make(chan struct{}), stopping: make(chan struct{})}
	go func() {
		ended := server.Wait()
		cut()
		atEnd(p, ended)
		close(p.done)
	}()
	return p, nil
}

// Done is closed when the server has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the server as a crash would, and returns once it has.
func (p *Process) Kill() {
	p.stopOnce.Do(func() { close(p.stopping) })
	_ = p.process.Kill() // or it has ended already
	<-p.done
}

// Stop tells the server to end, and kills it where it does not in time. Calling it again is
// harmless.
func (p *Process) Stop(ctx context.Context) error {
	p.stopOnce.Do(func() { close(p.stopping) })
	patient, cancel := context.WithTimeout(ctx, termPatience)
	defer cancel()
	if p.end(patient, syscall.SIGTERM) {
		return nil
	}
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), killPatience)
	defer cancel()
	if p.end(hard, syscall.SIGKILL) {
		return errors.New("stop Redis: it did not end in time and was killed")
	}
	return fmt.Errorf("stop Redis: process %d does not end", p.process.Pid)
}

// end sends the signal and tells whether the server ended before ctx did.
func (p *Process) end(ctx context.Context, sign syscall.Signal) bool {
	// An error means that it has ended already.
	_ = p.process.Signal(sign)
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// tail is the end of what the server said.
func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	content = bytes.TrimSpace(content)
	return string(content[max(0, len(content)-1000):])
}
