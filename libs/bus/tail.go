package bus

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/orchard9/rdev/libs/contract"
)

// ErrCursorExpired is returned where what follows a cursor is not kept any more.
var ErrCursorExpired = errors.New("what follows the cursor is not kept any more")

// tailPoll is how often a quiet tail looks whether it lost the last message,
// which no later one reveals.
const tailPoll = 5 * time.Second

const backfillBatch = 256

// tail reads the log in order, each event exactly once: live ones as they come, and
// those that it has missed from the stream. There is no consumer behind it, so a reader
// costs the server nothing.
type tail struct {
	conn *Conn
	last uint64 // sequence of the last event that was emitted, or the cursor
	emit func(entry) error
	// gap is told of events that are gone for good.
	gap func(after, before uint64) error
}

// offer takes a live message: it is emitted, or ignored where it was before.
// What is missing between the last and this one is read first.
func (t *tail) offer(ctx context.Context, m *nats.Msg) error {
	e := liveEntry(m)
	if e.Seq <= t.last {
		return nil
	}
	if e.Seq-1 > t.last {
		return t.catchUp(ctx, e.Seq)
	}
	return t.pass(e)
}

// liveEntry is a message as the stream has stored it.
func liveEntry(m *nats.Msg) entry {
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	return entry{Subject: m.Header.Get("Nats-Subject"), Seq: seq, Header: m.Header, Data: m.Data}
}

func (t *tail) pass(e entry) error {
	if e.Seq-1 > t.last {
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
	for t.last < upTo {
		events, err := t.conn.after(ctx, contract.StreamEvents, contract.SubjectEventsAll, t.last, 0)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if err := t.pass(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// after reads the next messages of a stream behind a sequence that a filter matches:
// some of them, or none where there are none. maxBytes is about the most that they may
// have, 0 for no limit.
func (c *Conn) after(ctx context.Context, stream, filter string, seq uint64, maxBytes int) ([]entry, error) {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if entries := c.batch(ctx, stream, filter, seq, maxBytes); len(entries) > 0 {
			return entries, nil
		}
		// A replica that is behind, a leader that changes, or messages that are
		// gone: the leader knows which.
		e, err := c.successor(ctx, stream, filter, seq)
		if err == nil {
			return []entry{e}, nil
		}
		if errors.Is(err, contract.ErrNotFound) {
			return nil, nil
		}
		if err := wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// batch reads what one request brings of that, which may be nothing.
func (c *Conn) batch(ctx context.Context, stream, filter string, seq uint64, maxBytes int) (entries []entry) {
	ctx, cancel := context.WithTimeout(ctx, 5*requestTimeout)
	defer cancel()
	if filter == contract.SubjectEventsAll {
		filter = ">" // the same, and the server looks up no subject of a message
	}
	options := []jetstreamext.GetBatchOpt{jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchSeq(seq + 1)}
	if maxBytes > 0 {
		options = append(options, jetstreamext.GetBatchMaxBytes(maxBytes))
	}
	messages, err := jetstreamext.GetBatch(ctx, c.js, stream, backfillBatch, options...)
	if err != nil {
		return nil
	}
	before := uint64(0)
	for m, err := range messages {
		if err != nil || !follows(m.Header, before) {
			break // what follows comes with the next request
		}
		before = m.Sequence
		entries = append(entries, entry{Subject: m.Subject, Seq: m.Sequence, Header: m.Header, Data: m.Data, Time: m.Time})
	}
	return entries
}

// follows tells whether an answer of several messages has none between two that came: a
// connection that is made again may have lost it.
func follows(h nats.Header, before uint64) bool {
	return h.Get(jetstream.LastSequenceHeader) == strconv.FormatUint(before, 10)
}

// place is where a message is stored.
type place struct {
	subject string
	seq     uint64
}

// newest is where the last message of a stream is that a filter matches, the zero place
// where there is none.
func (c *Conn) newest(ctx context.Context, stream, filter string) (place, error) {
	return c.ends.do(ctx, stream+" "+filter, func(ctx context.Context) (place, error) {
		e, err := c.last(ctx, stream, filter)
		if errors.Is(err, contract.ErrNotFound) {
			err = nil
		}
		return place{e.Subject, e.Seq}, err
	})
}

// awaitNewest is newest, asked until there is an answer or ctx is done.
func (c *Conn) awaitNewest(ctx context.Context, stream, filter string) (place, error) {
	return insist(ctx, func() (place, error) { return c.newest(ctx, stream, filter) })
}

// insist asks until there is an answer, be it contract.ErrNotFound, or ctx is done.
func insist[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for {
		answer, err := ask()
		if err == nil || errors.Is(err, contract.ErrNotFound) {
			return answer, err
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return answer, err
		}
	}
}
