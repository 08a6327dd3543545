package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orchard9/rdev/libs/contract"
)

// ErrCursorExpired is returned where what follows a cursor is not kept any more.
var ErrCursorExpired = errors.New("what follows the cursor is not kept any more")

// tailPoll is how often a quiet tail looks whether it lost the last message,
// which no later one reveals.
const tailPoll = 5 * time.Second

const backfillBatch = 256

// tail reads a stream's messages under a filter in order, each exactly once:
// live ones as they come, and those that it has missed from the stream. There
// is no consumer behind it, so a reader costs the server nothing.
type tail struct {
	conn   *Conn
	stream string
	filter string
	last   uint64 // sequence of the last message that was emitted, or the cursor
	// previous tells the sequence of the message before, under the filter.
	previous func(seq uint64, h nats.Header) uint64
	emit     func(entry) error
	// gap is told of messages that are gone for good.
	gap func(after, before uint64) error
}

// offer takes a live message: it is emitted, or ignored where it was before.
// What is missing between the last and this one is read first.
func (t *tail) offer(ctx context.Context, m *nats.Msg) error {
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if seq <= t.last {
		return nil
	}
	if t.previous(seq, m.Header) > t.last {
		return t.catchUp(ctx, seq)
	}
	return t.pass(entry{Subject: m.Header.Get("Nats-Subject"), Seq: seq, Header: m.Header, Data: m.Data})
}

func (t *tail) pass(e entry) error {
	if previous := t.previous(e.Seq, e.Header); previous > t.last {
		if err := t.gap(t.last, e.Seq); err != nil {
			return err
		}
	}
	t.last = e.Seq
	return t.emit(e)
}

// catchUp emits all that the stream holds up to and including the sequence
// upTo, which is known to have been stored.
func (t *tail) catchUp(ctx context.Context, upTo uint64) error {
	for pause := 10 * time.Millisecond; t.last < upTo; {
		n, err := t.batch(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !errors.Is(err, jetstreamext.ErrNoMessages):
			if stop, ok := errors.AsType[*emitError](err); ok {
				return stop.error
			}
		case n > 0:
			pause = 10 * time.Millisecond
			continue
		}
		// A replica that is behind, a leader that changes, or messages that are
		// gone: the leader knows which.
		e, err := t.conn.successor(ctx, t.stream, t.filter, t.last)
		if errors.Is(err, contract.ErrNotFound) {
			return nil
		}
		if err == nil {
			if err := t.pass(e); err != nil {
				return err
			}
			continue
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, time.Second)
	}
	return nil
}

// emitError carries the error of emit or gap out of a batch.
type emitError struct{ error }

func (t *tail) batch(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*requestTimeout)
	defer cancel()
	filter := t.filter
	if filter == contract.SubjectEventsAll {
		filter = ">" // the same, and the server looks up no subject of a message
	}
	messages, err := jetstreamext.GetBatch(ctx, t.conn.js, t.stream, backfillBatch,
		jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchSeq(t.last+1))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", t.stream, err)
	}
	for m, err := range messages {
		if err != nil {
			return n, err
		}
		if err := t.pass(entry{Subject: m.Subject, Seq: m.Sequence, Header: m.Header, Data: m.Data, Time: m.Time}); err != nil {
			return n, &emitError{err}
		}
		n++
	}
	return n, nil
}

// newest is the sequence of the last message under the filter, 0 for none.
func (t *tail) newest(ctx context.Context) (uint64, error) {
	for {
		seq, err := t.conn.ends.do(ctx, t.stream+" "+t.filter, func(ctx context.Context) (uint64, error) {
			e, err := t.conn.last(ctx, t.stream, t.filter)
			if errors.Is(err, contract.ErrNotFound) {
				err = nil
			}
			return e.Seq, err
		})
		if err == nil {
			return seq, nil
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// previousSeq is tail.previous of a stream that is read whole.
func previousSeq(seq uint64, _ nats.Header) uint64 { return seq - 1 }
