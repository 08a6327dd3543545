package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/runner/session"
)

// far is another side that can be cut off.
type far struct {
	dials atomic.Int64
	mu    sync.Mutex
	conns []net.Conn
	ends  sync.WaitGroup
}

// dial connects to a side that answers with its arguments and its input, in the
// way in which rdev-runner's subcommands do; "hold" answers at once and then waits
// for the end of its input, as attach does.
func (f *far) dial(context.Context) (io.ReadWriteCloser, error) {
	f.dials.Add(1)
	here, there := net.Pipe()
	f.mu.Lock()
	f.conns = append(f.conns, there)
	f.mu.Unlock()
	f.ends.Go(func() {
		_ = session.Serve(context.Background(), there, func(_ context.Context, args []string, in io.Reader, out io.Writer) {
			if args[0] == "refuse" {
				_, _ = out.Write([]byte("no"))
				return
			}
			if args[0] == "hold" {
				_, _ = out.Write([]byte("held"))
				_, _ = io.Copy(io.Discard, in)
				return
			}
			data, _ := io.ReadAll(in)
			_, _ = fmt.Fprintf(out, "%s %s", args, data)
		})
	})
	return here, nil
}

// cut ends all connections.
func (f *far) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		_ = conn.Close()
	}
}

func echo(ctx context.Context, s *session.Session, what string) error {
	var out bytes.Buffer
	if err := s.Exec(ctx, []string{"echo", what}, strings.NewReader(what), &out); err != nil {
		return err
	}
	if want := fmt.Sprintf("[echo %s] %s", what, what); out.String() != want {
		return fmt.Errorf("got %d bytes %.40q, want %d", out.Len(), out.String(), len(want))
	}
	return nil
}

func TestManyCallsShareOneConnection(t *testing.T) {
	var f far
	s := session.New(f.dial)
	defer s.Close()
	var calls sync.WaitGroup
	for n := range 100 {
		calls.Go(func() {
			if err := echo(t.Context(), s, strings.Repeat("x", 97*n)); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if n := f.dials.Load(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}

func TestAConnectionThatIsCutEndsItsCallsAndIsMadeAgain(t *testing.T) {
	var f far
	s := session.New(f.dial)
	defer s.Close()
	in, hold := io.Pipe()
	defer hold.Close()
	out, held := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := s.Exec(t.Context(), []string{"hold"}, in, held)
		ended <- errors.Join(err, held.Close())
	}()
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	f.cut()
	select {
	case <-ended: // with an error or without: its output tells that it is not whole
	case <-time.After(10 * time.Second):
		t.Fatal("the call did not end")
	}
	deadline := time.Now().Add(10 * time.Second)
	for err := echo(t.Context(), s, "again"); err != nil; err = echo(t.Context(), s, "again") {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestACallThatIsGivenUpEndsOnTheOtherSideToo(t *testing.T) {
	var f far
	s := session.New(f.dial)
	ctx, giveUp := context.WithCancel(t.Context())
	in, hold := io.Pipe()
	defer hold.Close()
	out, held := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- s.Exec(ctx, []string{"hold"}, in, held) }()
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	giveUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := echo(t.Context(), s, "next"); err != nil {
		t.Error(err)
	}
	s.Close()
	f.ends.Wait() // Serve waits for what it carries out
	if err := echo(t.Context(), s, "late"); !errors.Is(err, session.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestACallThatEndsEarlyIsSentNoMore(t *testing.T) {
	var f far
	s := session.New(f.dial)
	defer s.Close()
	const calls = 100
	before := runtime.NumGoroutine()
	for range calls {
		var out bytes.Buffer
		// More than the other side takes without reading it.
		if err := s.Exec(t.Context(), []string{"refuse"}, bytes.NewReader(make([]byte, 1<<20)), &out); err != nil || out.String() != "no" {
			t.Fatalf("got %q, %v", out.String(), err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.Tick(5 * time.Millisecond); runtime.NumGoroutine() > before+calls/2; <-tick {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before: they still wait to send", runtime.NumGoroutine(), before)
		}
	}
	if err := echo(t.Context(), s, "next"); err != nil {
		t.Error(err)
	}
}

func TestASideThatIsNoRunnerIsTold(t *testing.T) {
	refused := errors.New("pods are forbidden")
	for want, dial := range map[string]session.Dial{
		"pods are forbidden": func(context.Context) (io.ReadWriteCloser, error) {
			here, there := io.Pipe()
			_ = there.CloseWithError(refused)
			return struct {
				io.Reader
				io.WriteCloser
			}{here, there}, nil
		},
		"no hello": func(context.Context) (io.ReadWriteCloser, error) {
			here, there := net.Pipe()
			go func() { _, _ = there.Write([]byte("sh: 1: rdev-runner: not found\n")) }()
			return here, nil
		},
	} {
		s := session.New(dial)
		if err := echo(t.Context(), s, "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		s.Close()
	}
}
