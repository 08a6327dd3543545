package session

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// Dial connects to a "rdev-runner serve". The connection outlives ctx. Where it
// cannot be made, either Dial or the first Read says why.
type Dial func(ctx context.Context) (io.ReadWriteCloser, error)

const (
	// openWithin is how long it may take until the other side says hello.
	openWithin = 15 * time.Second
	// idleAfter is how long a connection is kept that nobody uses.
	idleAfter = 5 * time.Minute
)

// Session is a connection that is made when it is needed, kept while it is used,
// and made again when it was lost. It is safe for concurrent use.
type Session struct {
	dial Dial

	mu     sync.Mutex
	mux    *yamux.Session // nil where there is none
	calls  int            // under way
	idle   *time.Timer
	closed bool
}

// New makes no connection yet.
func New(dial Dial) *Session {
	s := &Session{dial: dial}
	s.idle = time.AfterFunc(idleAfter, s.hangUp)
	return s
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the session is closed")

// Exec is a client.Exec.
func (s *Session) Exec(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	stream, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer s.leave()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = carry(stream, args, stdin, stdout)
	}()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
		// Attach learns from the end of its input that nobody listens.
		_ = errors.Join(stream.Close(), stream.SetReadDeadline(time.Now()))
		<-ended
		go func() {
			_ = stream.SetReadDeadline(time.Time{})
			_, _ = io.Copy(io.Discard, stream) // until the other side has closed it, too
		}()
		return ctx.Err()
	}
}

func carry(stream *yamux.Stream, args []string, stdin io.Reader, stdout io.Writer) error {
	if err := json.NewEncoder(stream).Encode(args); err != nil {
		return fmt.Errorf("call: %w", err)
	}
	go func() {
		_, _ = io.Copy(stream, stdin) // what is missing, the runner finds out
		_ = stream.Close()
	}()
	_, err := io.Copy(stdout, stream)
	_ = stream.Close() // nobody reads what is left of the input
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	return nil
}

// Close ends the connection, and with it all that is under way.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.idle.Stop()
	if s.mux != nil {
		_ = s.mux.Close()
	}
}

// hangUp closes a connection that nobody uses.
func (s *Session) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == 0 && s.mux != nil {
		_ = s.mux.Close()
		s.mux = nil
	}
}

func (s *Session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls--; s.calls == 0 && !s.closed {
		s.idle.Reset(idleAfter)
	}
}

// open opens a stream. The caller leaves.
func (s *Session) open(ctx context.Context) (*yamux.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.mux == nil || s.mux.IsClosed() {
		mux, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		s.mux = mux
	}
	stream, err := s.mux.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	s.calls++
	return stream, nil
}

func (s *Session) connect(ctx context.Context) (*yamux.Session, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	in := bufio.NewReader(conn)
	said := make(chan error, 1)
	go func() {
		line := make([]byte, len(hello))
		n, err := io.ReadFull(in, line)
		if err == nil && string(line) != hello {
			err = errors.New("no hello")
		}
		if err != nil {
			err = fmt.Errorf("connect: %w: %q", err, line[:n])
		}
		said <- err
	}()
	ctx, stop := context.WithTimeout(ctx, openWithin)
	defer stop()
	select {
	case err = <-said:
	case <-ctx.Done():
		err = fmt.Errorf("connect: no hello: %w", ctx.Err())
	}
	if err == nil {
		var mux *yamux.Session
		if mux, err = yamux.Client(buffered{in, conn}, config()); err == nil {
			return mux, nil
		}
	}
	return nil, errors.Join(err, conn.Close())
}

// buffered is a connection of which something was read already.
type buffered struct {
	in *bufio.Reader
	io.WriteCloser
}

// Read implements io.Reader.
func (b buffered) Read(data []byte) (int, error) { return b.in.Read(data) }
