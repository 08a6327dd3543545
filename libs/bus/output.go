package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// OutputWriter appends chunks to the output of one operation. It belongs to one
// goroutine. Every chunk is guarded by the one before, so that a writer which
// was replaced cannot add to it.
type OutputWriter struct {
	conn   *Conn
	op     contract.Operation
	last   uint64
	cursor int64
}

// OpenOutput finds where the output of an operation stands.
func (c *Conn) OpenOutput(ctx context.Context, op contract.Operation) (*OutputWriter, error) {
	w := &OutputWriter{conn: c, op: op}
	for {
		e, err := c.last(ctx, contract.StreamOutput, contract.OutputSubject(op.ID))
		if errors.Is(err, contract.ErrNotFound) {
			return w, nil
		}
		if err == nil {
			last := chunkOf(e)
			w.last = e.Seq
			if tried := op.TriedUpTo(); tried == 0 || last.Attempt > tried { // else it is of another run
				w.cursor = last.Cursor
			}
			return w, nil
		}
		if wait(ctx, 50*time.Millisecond) != nil {
			return nil, fmt.Errorf("open output of %s: %w", op.ID, err)
		}
	}
}

// Cursor is the position in the spool after the last chunk that is stored.
func (w *OutputWriter) Cursor() int64 { return w.cursor }

// Write stores a chunk exactly once and returns when it is stored. The error is
// contract.ErrFenced where another writer has gone on from here.
func (w *OutputWriter) Write(ctx context.Context, chunk contract.Chunk) error {
	id := uuid.NewString()
	m := nats.NewMsg(contract.OutputAppendSubject(w.op.ID))
	m.Data = chunk.Data
	filter := contract.OutputSubject(w.op.ID)
	m.Header = nats.Header{
		contract.HeaderEventID:              {id},
		contract.HeaderOutputStream:         {chunk.Stream},
		contract.HeaderOutputOffset:         {strconv.FormatInt(chunk.Offset, 10)},
		contract.HeaderOutputCursor:         {strconv.FormatInt(chunk.Cursor, 10)},
		contract.HeaderAttempt:              {strconv.Itoa(chunk.Attempt)},
		contract.HeaderProject:              {w.op.Project},
		jetstream.ExpectedStreamHeader:      {contract.StreamOutput},
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(w.last, 10)},
	}
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		seq, err := w.conn.publish(ctx, m)
		if err == nil {
			w.last, w.cursor = seq, chunk.Cursor
			return nil
		}
		next, readErr := w.conn.successor(ctx, contract.StreamOutput, filter, w.last)
		switch {
		case readErr == nil && next.Header.Get(contract.HeaderEventID) == id:
			w.last, w.cursor = next.Seq, chunk.Cursor
			return nil
		case readErr == nil:
			return fmt.Errorf("output of %s: %w", w.op.ID, contract.ErrFenced)
		case errors.Is(readErr, contract.ErrNotFound) && errorCode(err) == errWrongLastSequence:
			// The last chunk itself is gone: somebody purged the output.
			w.last = 0
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
		case errors.Is(readErr, contract.ErrNotFound) && errorCode(err) == errMessageTooLarge:
			return fmt.Errorf("output of %s: %w", w.op.ID, err)
		}
		if wait(ctx, pause) != nil {
			return fmt.Errorf("output of %s: %w (last: %w)", w.op.ID, context.Cause(ctx), err)
		}
	}
}

func chunkOf(e entry) contract.Chunk {
	offset, _ := strconv.ParseInt(e.Header.Get(contract.HeaderOutputOffset), 10, 64)
	cursor, _ := strconv.ParseInt(e.Header.Get(contract.HeaderOutputCursor), 10, 64)
	attempt, _ := strconv.Atoi(e.Header.Get(contract.HeaderAttempt))
	return contract.Chunk{
		Operation: strings.TrimPrefix(e.Subject, contract.SubjectOutput),
		Stream:    e.Header.Get(contract.HeaderOutputStream), Offset: offset, Cursor: cursor, Attempt: attempt,
		Data: e.Data, Seq: e.Seq, Prev: expectedLast(e.Header),
	}
}

// Signal tells the executor of an operation, wherever it is, to look at it now. The
// event is the guarantee; this is the speed.
func (c *Conn) Signal(id string) error {
	if err := c.nc.Publish(contract.Signal(id), nil); err != nil {
		return fmt.Errorf("signal operation %s: %w", id, err)
	}
	return nil
}

// OnSignal calls hear for every signal until ctx is done.
func (c *Conn) OnSignal(ctx context.Context, id string, hear func()) error {
	sub, err := c.nc.Subscribe(contract.Signal(id), func(*nats.Msg) { hear() })
	if err != nil {
		return fmt.Errorf("listen for signals of operation %s: %w", id, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() }) // fails only on a closed connection
	return nil
}
