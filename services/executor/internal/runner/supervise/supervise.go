// Package supervise is the process that owns a run: it starts the program,
// stores what it prints, ends what it leaves behind, and writes down how it
// ended.
package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/confine"
	"github.com/orchard9/rdev/services/executor/internal/runner/process"
	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Descriptors that start hands to the supervisor.
const (
	specFD  = 3 // wire.Spec to read
	readyFD = 4 // closed when the start, or why there was none, is recorded
	aliveFD = 5 // locked; released by the end of this process
)

const (
	drainGrace = 2 * time.Second        // for output after the program's end
	termGrace  = 5 * time.Second        // of a cancel by a signal to the supervisor
	sweepPause = 5 * time.Millisecond   // between two sweeps
	sweepSlow  = 200 * time.Millisecond // the same where processes do not die
)

// Run is the life of a supervisor.
func Run(run *store.Run) error {
	for fd := specFD; fd <= aliveFD; fd++ {
		unix.CloseOnExec(fd)
	}
	// What it starts is killed when this thread dies.
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	signals, deaf := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM)
	// The program would inherit that a signal is ignored, but not that nobody
	// reads of it.
	signal.Notify(deaf, unix.SIGHUP, unix.SIGINT, unix.SIGXFSZ)
	var spec wire.Spec
	specIn := os.NewFile(specFD, "spec")
	if err := json.NewDecoder(specIn).Decode(&spec); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	if _, err := io.Copy(io.Discard, specIn); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	_ = specIn.Close()
	spec.Env = append(spec.Env, process.MarkName+"="+run.Record.Mark)
	s := &supervisor{run: run, status: wire.Status{Known: true, StartedAt: time.Now().UTC()}}
	if err := s.start(spec); err != nil {
		s.status.Code, s.status.StartError = -1, err.Error()
		return s.finish()
	}
	ready := os.NewFile(readyFD, "ready")
	_ = ready.Close()
	s.follow(signals)
	return s.finish()
}

type supervisor struct {
	run     *store.Run
	status  wire.Status
	spool   *Spool
	pump    *pump
	child   *child
	desk    *desk
	alive   *os.File // open to the end
	control *net.UnixListener
}

// start starts the program and records that it did.
func (s *supervisor) start(spec wire.Spec) error {
	file, err := s.run.AppendSpool()
	if err != nil {
		return err
	}
	s.spool = NewSpool(file, spec.SpoolLimit)
	pump, stdout, stderr, err := newPump(s.spool)
	if err != nil {
		return err
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	stdin, feed := os.NewFile(uintptr(fds[0]), "input"), os.NewFile(uintptr(fds[1]), "input")
	// Before the program is: a caller that sees it running can reach it.
	s.control, err = s.run.Listen()
	if err != nil {
		return fmt.Errorf("make control socket: %w", err)
	}
	alive := os.NewFile(aliveFD, "alive")
	guard, err := confine.StartGuarded(spec, s.run.Record.Mark, [3]*os.File{stdin, stdout, stderr}, alive)
	_, _, _ = stdin.Close(), stdout.Close(), stderr.Close()
	if err != nil {
		return err
	}
	s.alive, s.child, s.pump = alive, newChild(guard), pump
	go pump.run()
	err = s.record()
	go s.child.watch()
	in := newInput(spec.Stdin, spec.KeepStdin)
	go in.feed(feed)
	s.desk = &desk{key: s.run.Record.Key, in: in, cancels: make(chan time.Duration), over: make(chan struct{})}
	go s.desk.serve(s.control)
	if err != nil {
		// The program runs, but nobody could find it after a crash. End it.
		s.status.Error = err.Error()
	}
	return nil
}

func (s *supervisor) record() error {
	where, err := process.Where()
	if err != nil {
		return err
	}
	guard, guardErr := process.Find(s.child.guard.PID)
	self, selfErr := process.Find(os.Getpid())
	if err := errors.Join(guardErr, selfErr); err != nil {
		return err
	}
	return s.run.SetProcess(store.Process{
		Guard: guard.PID, GuardStart: guard.Start, Where: where, StartedAt: s.status.StartedAt,
		Supervisor: self.PID, SupervisorStart: self.Start,
	})
}

// follow watches the program until nothing of it is left.
//
//	runs ──exits──▶ drains ──end of output, or 2 s──▶ swept ──no child left──▶ over
//	  │ cancel: TERM          └─ alone: no child left ──▶ over   ▲
//	  └──grace is over, or its output cannot be stored───────────┘
func (s *supervisor) follow(signals <-chan os.Signal) {
	var drained, killed, sweep <-chan time.Time
	ended, alone, attempts := false, false, 0
	leftovers := map[process.Process]bool{}
	pumped := s.pump.done
	kill := func() {
		if ended {
			s.child.kill(leftovers)
		} else {
			s.child.kill(nil) // nothing has outlived the program
		}
		pause := sweepPause
		if attempts++; attempts > 200 {
			pause = sweepSlow
		}
		sweep = time.After(pause)
	}
	cancel := func(grace time.Duration) {
		if !ended {
			s.status.Cancelled = true
			if grace > 0 {
				_ = s.child.guard.Terminate() // one that is gone ends the run anyway
			}
		}
		killed = time.After(grace)
	}
	if s.status.Error != "" {
		kill()
	}
	for over := false; !over; {
		select {
		case <-s.child.none:
			over = true
		case end := <-s.child.exited:
			ended, alone, s.status.Code, s.status.Signal = true, end.Alone, end.Code, end.Signal
			s.status.EndedAt = time.Now().UTC()
			s.desk.in.end()
			drained = time.After(drainGrace)
			if pumped == nil && !alone {
				kill()
			}
		case <-pumped:
			if pumped = nil; ended && !alone {
				kill()
			}
		case <-drained:
			kill()
		case grace := <-s.desk.cancels:
			cancel(grace)
		case <-signals:
			cancel(termGrace)
		case <-killed:
			kill()
		case err := <-s.pump.failed:
			s.status.Error = err.Error()
			kill()
		case <-sweep:
			kill()
		}
	}
	close(s.desk.over)
	s.desk.in.end()
	s.settle(ended, len(leftovers))
}

// settle collects the last of the output and of the program's end.
func (s *supervisor) settle(ended bool, leftovers int) {
	s.status.Leftovers = leftovers
	if !ended {
		select {
		case end := <-s.child.exited:
			s.status.Code, s.status.Signal = end.Code, end.Signal
		default:
			// The guard was killed before it could tell, and the program with it.
			s.status.Code, s.status.Signal = -1, "SIGKILL"
		}
		s.status.EndedAt = time.Now().UTC()
	}
	select {
	case <-s.pump.done:
	case <-time.After(drainGrace):
		s.pump.stop()
		<-s.pump.done
	}
}

// finish writes down how the run ended, after all of its output.
func (s *supervisor) finish() error {
	if s.spool != nil {
		dropped, err := s.spool.Close()
		s.status.Dropped = dropped
		if err != nil && s.status.Error == "" {
			s.status.Error = err.Error()
		}
	}
	if s.status.EndedAt.IsZero() {
		s.status.EndedAt = time.Now().UTC()
	}
	err := s.run.SetStatus(s.status)
	if s.control != nil {
		_ = s.control.Close()
	}
	return err
}
