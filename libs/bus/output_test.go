package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// reading is a sink that keeps what it sees.
type reading struct {
	seqs  []uint64
	text  string
	gaps  int
	stopN int // stop with errStop after so many chunks, 0 for never
	slow  time.Duration
	end   *contract.Operation
}

var errStop = errors.New("enough")

func (r *reading) Chunk(c contract.Chunk) error {
	if r.slow > 0 {
		time.Sleep(r.slow)
	}
	r.seqs, r.text = append(r.seqs, c.Seq), r.text+string(c.Data)
	if r.stopN > 0 && len(r.seqs) == r.stopN {
		return errStop
	}
	return nil
}
func (r *reading) State(*contract.Operation) error  { return nil }
func (r *reading) Gap(string, uint64, uint64) error { r.gaps++; return nil }
func (r *reading) Idle() error                      { return nil }
func (r *reading) End(op *contract.Operation) error { r.end = op; return nil }

func follow(ctx context.Context, c *bus.Conn, id string, how bus.Follow, sink bus.OutputSink) error {
	f, err := c.FollowOutput(ctx, id, how)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Feed(ctx, sink)
}

func TestEveryReaderSeesTheWholeOutputExactlyOnce(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "gateway")
	op, err := c.Append(t.Context(), nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	if op, err = c.Append(t.Context(), &op, contract.OperationRunning{Attempt: 1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	const chunks = 2000
	var wg sync.WaitGroup
	readers := make([]*reading, 8)
	for i := range readers {
		readers[i] = &reading{}
		if i%4 == 1 {
			readers[i].slow = 50 * time.Microsecond
		}
		wg.Go(func() {
			r, after := readers[i], uint64(0)
			if i%2 == 0 {
				r.stopN = 100 * (i + 1) // is cut, and resumes from its cursor
			}
			for {
				err := follow(t.Context(), c, op.ID, bus.Follow{After: after, Idle: time.Second}, r)
				if errors.Is(err, errStop) {
					after, r.stopN = r.seqs[len(r.seqs)-1], 0
					continue
				}
				if err != nil || r.end == nil || r.end.State != contract.Completed {
					t.Errorf("reader %d: %v, ended as %+v", i, err, r.end)
				}
				return
			}
		})
	}
	w, err := c.OpenOutput(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for i := range chunks {
		line := fmt.Sprintf("line %d\n", i)
		want += line
		if err := w.Write(t.Context(), contract.Chunk{Stream: contract.OutputStdout, Data: []byte(line), Cursor: int64(len(want))}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Append(t.Context(), &op, contract.OperationCompleted{Attempt: 1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for i, r := range readers {
		if r.text != want || r.gaps != 0 {
			t.Errorf("reader %d saw %d chunks, %d bytes of %d, %d gaps", i, len(r.seqs), len(r.text), len(want), r.gaps)
		}
	}
}

func TestAWriterThatWasReplacedCannotAddToTheOutput(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "executor")
	op, err := c.Append(t.Context(), nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(w *bus.OutputWriter, text string) error {
		return w.Write(t.Context(), contract.Chunk{Stream: contract.OutputStdout, Data: []byte(text), Cursor: w.Cursor() + int64(len(text))})
	}
	old, err := c.OpenOutput(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(old, "one"); err != nil {
		t.Fatal(err)
	}
	replacing, err := c.OpenOutput(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	if replacing.Cursor() != 3 {
		t.Fatalf("cursor %d, want 3", replacing.Cursor())
	}
	if err := write(replacing, "two"); err != nil {
		t.Fatal(err)
	}
	if err := write(old, "zombie"); !errors.Is(err, contract.ErrFenced) {
		t.Fatalf("the old writer: %v, want ErrFenced", err)
	}
}

func TestACursorWhoseSuccessorIsGoneIsExpired(t *testing.T) {
	server := testkit.NATS(t)
	c := testkit.Connect(t, server.URL(), "gateway")
	op, err := c.Append(t.Context(), nil, pending("shop"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.OpenOutput(t.Context(), op)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := w.Write(t.Context(), contract.Chunk{Stream: contract.OutputStdout, Data: []byte{byte('0' + i)}}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := c.JetStream().Stream(t.Context(), contract.StreamOutput)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(6)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := follow(ctx, c, op.ID, bus.Follow{After: 2, Idle: time.Second}, &reading{}); !errors.Is(err, bus.ErrCursorExpired) {
		t.Fatalf("from a cursor before the gap: %v, want ErrCursorExpired", err)
	}
	r := &reading{stopN: 5}
	if err := follow(ctx, c, op.ID, bus.Follow{Idle: time.Second}, r); !errors.Is(err, errStop) || r.gaps != 1 || r.text != "56789" {
		t.Fatalf("from the beginning: %v, %d gaps, %q; want one gap and 56789", err, r.gaps, r.text)
	}
	r = &reading{stopN: 5}
	if err := follow(ctx, c, op.ID, bus.Follow{After: 5, Idle: time.Second}, r); !errors.Is(err, errStop) || r.gaps != 0 {
		t.Fatalf("from the cursor at the gap: %v, %d gaps; want what follows", err, r.gaps)
	}
}
