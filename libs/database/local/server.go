package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Patience with a server that was asked to end, before the next harder signal.
const (
	fastPatience = 20 * time.Second
	hardPatience = 5 * time.Second
)

// run starts the process and watches over it until it ends.
func (s *Server) run(command *exec.Cmd, logPath string) error {
	output, err := os.OpenFile(logPath, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	command.Stdout, command.Stderr = output, output

	begun := make(chan error)
	go func() {
		// The kernel signals the server when the thread that started it ends,
		// so that thread is kept for as long as the server lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := command.Start(); err != nil {
			begun <- err
			return
		}
		s.process = command.Process
		unwatch, err := watch(command.Process)
		if err != nil {
			begun <- errors.Join(err, command.Process.Kill(), command.Wait())
			return
		}
		begun <- nil
		ended := command.Wait()
		unwatch()
		select {
		case <-s.stopping:
		default:
			s.log.Error("database ended by itself", "error", ended, "output", tail(logPath))
		}
		s.release()
		close(s.done)
	}()
	return <-begun
}

// awaitReady returns when the server answers a query.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("the server ended during its start")
		default:
		}
		if wait(ctx, 5*time.Millisecond) != nil {
			return err
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL(""))
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

// Stop ends the server in order: open transactions are rolled back and the data
// is written out. If that takes longer than ctx allows, or twenty seconds, the
// server is ended at once and recovers at its next start. Calling it again is
// harmless, as is calling it for a server that is not ours.
func (s *Server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	s.stopOnce.Do(func() { close(s.stopping) })
	patient, cancel := context.WithTimeout(ctx, fastPatience)
	defer cancel()
	if s.end(patient, syscall.SIGINT) {
		return nil
	}
	for _, sign := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardPatience)
		ended := s.end(hard, sign)
		cancel()
		if ended {
			return errors.New("stop local database: it did not end in time and was killed")
		}
	}
	return fmt.Errorf("stop local database: process %d does not end", s.process.Pid)
}

// end sends the signal and tells whether the server ended before ctx did.
func (s *Server) end(ctx context.Context, sign syscall.Signal) bool {
	// An error means that it has ended already.
	_ = s.process.Signal(sign)
	select {
	case <-s.done:
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
