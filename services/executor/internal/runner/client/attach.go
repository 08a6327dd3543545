package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

const (
	// silence is how long a connection may carry nothing, not even a beat, before
	// it is taken to be cut.
	silence = 45 * time.Second
	// opening is how long it may take until it carries the first beat.
	opening = 15 * time.Second
	// patience is how long no connection may come about: an API server that is
	// replaced takes a while.
	patience     = 2 * time.Minute
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
)

// Attach follows a run's output from a position on until it has ended. A
// connection that is cut is made again from where it was. See app.Runtime.
func (c *Client) Attach(ctx context.Context, ref domain.RunRef, from int64, emit func(domain.Frame) error) (domain.Exit, error) {
	pause := firstPause
	var since time.Time // of when there has been no connection
	for {
		reply, connected, err := c.attachOnce(ctx, ref, &from, emit)
		if reply != nil {
			if err := refused(*reply); err != nil {
				return domain.Exit{}, fmt.Errorf("attach to run %s: %w", ref.ID, err)
			}
			if reply.Status == nil {
				return domain.Exit{}, fmt.Errorf("attach to run %s: %w: no status", ref.ID, ErrRunner)
			}
			return reply.Status.Exit(), nil
		}
		if mine, ok := errors.AsType[*emitError](err); ok {
			return domain.Exit{}, mine.err
		}
		if ctx.Err() != nil {
			return domain.Exit{}, ctx.Err()
		}
		if hopeless(err) {
			return domain.Exit{}, fmt.Errorf("attach to run %s: %w", ref.ID, err)
		}
		if connected || since.IsZero() {
			pause, since = firstPause, time.Now()
		}
		if time.Since(since) > patience || errors.Is(err, wire.ErrCorrupt) {
			return domain.Exit{}, fmt.Errorf("attach to run %s at %d: %w", ref.ID, from, err)
		}
		select {
		case <-ctx.Done():
			return domain.Exit{}, ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		}
	}
}

// emitError is an error of the caller's own.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }

// attachOnce emits frames until the connection ends, and moves at behind each
// that was. The reply is nil where the connection ended before the run; connected
// tells whether anything came over it.
func (c *Client) attachOnce(ctx context.Context, ref domain.RunRef, at *int64, emit func(domain.Frame) error) (reply *wire.Reply, connected bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The runner sends for as long as its standard input is open.
	held, release := io.Pipe()
	in, out := io.Pipe()
	watched := &watchdog{out: out, timer: time.AfterFunc(opening, stop)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		args := append(c.args("attach", ref), "-from", strconv.FormatInt(*at, 10))
		err := c.exec(ctx, args, held, watched)
		_ = out.CloseWithError(errors.Join(err, io.ErrUnexpectedEOF))
	}()
	defer func() {
		stop()
		_, _ = in.Close(), release.Close()
		watched.timer.Stop()
		<-ended
	}()
	reader := wire.NewReader(in, *at)
	for {
		frame, reply, err := reader.Next()
		if err != nil || reply != nil {
			return reply, watched.heard.Load(), err
		}
		if err := emit(frame); err != nil {
			return nil, true, &emitError{err}
		}
		*at = frame.Next
	}
}

// watchdog passes writes on and stops its timer's action for as long as they
// come. The time that the reader takes does not count.
type watchdog struct {
	out   io.Writer
	timer *time.Timer
	heard atomic.Bool // anything
}

func (w *watchdog) Write(data []byte) (int, error) {
	w.heard.Store(true)
	w.timer.Stop()
	defer w.timer.Reset(silence)
	return w.out.Write(data)
}
