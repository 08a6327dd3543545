package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// OutputSink takes what a follower of an operation sees. An error ends it. The
// operations are shared with other followers, and only for reading.
type OutputSink interface {
	Chunk(contract.Chunk) error
	// State is the operation whenever it changes, and at the start.
	State(*contract.Operation) error
	// Gap says that chunks between two sequences are not kept any more.
	Gap(after, before uint64) error
	// Idle comes when nothing else did for a while.
	Idle() error
	// End comes last, once all output was seen: the operation as it ended.
	End(*contract.Operation) error
}

// Follow says how to follow an output.
type Follow struct {
	After uint64        // cursor: what was seen last, 0 for nothing
	Idle  time.Duration // how often a quiet follower hears Idle
	// Once ends with what there is by now, also where the operation goes on.
	Once bool
}

// OutputFollower follows the output of one operation. It belongs to one caller.
//
// Thousands of goroutines wait in Feed, so it takes and keeps operations by
// reference: their stacks stay small.
type OutputFollower struct {
	conn    *Conn
	id      string
	how     Follow
	live    *reader
	leave   func()
	tail    tail
	op      *contract.Operation // as it was seen last
	sink    OutputSink
	resumed bool // the first chunk after the cursor was seen
}

// FollowOutput finds an operation, whose output Feed then tells. One that the log
// does not hold is contract.ErrNotFound, and a cursor whose next chunk is gone
// ErrCursorExpired. The caller has to call Close.
func (c *Conn) FollowOutput(ctx context.Context, id string, how Follow) (*OutputFollower, error) {
	f := &OutputFollower{conn: c, id: id, how: how, live: newReader()}
	f.tail = tail{
		conn: c, stream: contract.StreamOutput, filter: contract.OutputSubject(id), last: how.After,
		previous: func(_ uint64, h nats.Header) uint64 { return expectedLast(h) },
		emit:     func(e entry) error { return f.sink.Chunk(chunkOf(e)) },
		gap:      f.gap,
	}
	if err := f.join(); err != nil {
		return nil, err
	}
	op, err := c.Load(ctx, id)
	if err == nil {
		f.op = &op
		err = f.checkCursor(ctx, how.After)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// join has live receive the output, and what happens to the operation.
func (f *OutputFollower) join() error {
	leaveOutput, err := f.conn.live.join(contract.OutputSubject(f.id), "", f.live)
	if err != nil {
		return err
	}
	leaveStates, err := f.conn.live.join(contract.SubjectEventLive, f.id, f.live)
	if err != nil {
		leaveOutput()
		return err
	}
	f.leave = func() { leaveStates(); leaveOutput() }
	return nil
}

// Close lets go of what the follower holds.
func (f *OutputFollower) Close() { f.leave() }

// Feed tells a sink the operation and its output after the cursor, each chunk
// exactly once and in order, history and live alike, until the operation has
// ended and all of its output was seen. Without a cursor what is gone is told as
// a gap.
func (f *OutputFollower) Feed(ctx context.Context, sink OutputSink) error {
	f.sink = sink
	if err := f.tell(ctx, true); err != nil || f.op.State.Ended() {
		return err
	}
	if f.how.Once {
		return f.sink.End(f.op)
	}
	return f.run(ctx)
}

func (f *OutputFollower) gap(last, before uint64) error {
	if f.how.After > 0 && last == f.how.After && !f.resumed {
		return fmt.Errorf("after %d comes %d: %w", f.how.After, before, ErrCursorExpired)
	}
	return f.sink.Gap(last+1, before-1)
}

// checkCursor refuses a cursor before anything is sent: one whose successor is
// gone, or all of whose successors may be, for what is left of the stream begins
// behind it and nothing of the operation is left.
func (f *OutputFollower) checkCursor(ctx context.Context, after uint64) error {
	if after == 0 {
		return nil
	}
	newest, err := f.tail.newest(ctx)
	if err != nil {
		return err
	}
	if newest > after {
		next, err := f.conn.successor(ctx, contract.StreamOutput, f.tail.filter, after)
		if err == nil && expectedLast(next.Header) > after {
			return fmt.Errorf("after %d comes %d: %w", after, next.Seq, ErrCursorExpired)
		}
		return nil // what cannot be read now is found missing later
	}
	if newest == after {
		return nil
	}
	stream, err := f.conn.js.Stream(ctx, contract.StreamOutput)
	if err != nil {
		return fmt.Errorf("stream %s: %w", contract.StreamOutput, err)
	}
	if first := stream.CachedInfo().State.FirstSeq; newest == 0 && first > after {
		return fmt.Errorf("the output begins at %d: %w", first, ErrCursorExpired)
	}
	return nil
}

// run waits for what is new until the operation has ended.
func (f *OutputFollower) run(ctx context.Context) error {
	idler := time.NewTicker(f.how.Idle)
	defer idler.Stop()
	poll := time.NewTicker(tailPoll)
	defer poll.Stop()
	for !f.op.State.Ended() {
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-idler.C:
			err = f.sink.Idle()
		case <-poll.C:
			err = f.reload(ctx)
		case m := <-f.live.ch:
			err = f.next(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// next takes a live message, and looks after the last of those that came whether
// others were dropped.
func (f *OutputFollower) next(ctx context.Context, m *nats.Msg) error {
	if err := f.take(ctx, m); err != nil {
		return err
	}
	if f.live.missed.Load() && len(f.live.ch) == 0 {
		f.live.missed.Store(false)
		return f.reload(ctx)
	}
	return nil
}

func (f *OutputFollower) take(ctx context.Context, m *nats.Msg) error {
	if m.Subject == f.tail.filter {
		err := f.tail.offer(ctx, m)
		f.resumed = true
		return err
	}
	seq, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	event, err := eventOf(m.Header.Get("Nats-Subject"), seq, time.Time{}, m.Header, m.Data)
	if err != nil {
		return nil //nolint:nilerr // not an event
	}
	op, err := event.Operation()
	if err != nil || seq <= f.op.Seq {
		return nil //nolint:nilerr // of another entity, or garbled by a writer without the contract: the poll reads it
	}
	f.op = &op
	return f.tell(ctx, false)
}

// reload asks the log for what live messages may have failed to tell.
func (f *OutputFollower) reload(ctx context.Context) error {
	op, err := f.conn.Load(ctx, f.id)
	if err != nil {
		return err
	}
	if op.Seq > f.op.Seq {
		f.op = &op
		return f.tell(ctx, false)
	}
	return f.catchUp(ctx)
}

// tell passes the operation on, and at the beginning and the end the output: the
// executor stores all of it before it ends an operation, so at its end the stream
// has everything.
func (f *OutputFollower) tell(ctx context.Context, first bool) error {
	ended := f.op.State.Ended()
	if !ended {
		if err := f.sink.State(f.op); err != nil || !first {
			return err
		}
	}
	if err := f.catchUp(ctx); err != nil || !ended {
		return err
	}
	return f.sink.End(f.op)
}

func (f *OutputFollower) catchUp(ctx context.Context) error {
	newest, err := f.tail.newest(ctx)
	if err != nil {
		return err
	}
	err = f.tail.catchUp(ctx, newest)
	f.resumed = true
	return err
}

// AwaitEnd waits until an operation has ended, or ctx is done: it then returns
// the operation as it is, without an error.
func (c *Conn) AwaitEnd(ctx context.Context, op contract.Operation) (contract.Operation, error) {
	live := newReader()
	leave, err := c.live.join(contract.SubjectEventLive, op.ID, live)
	if err != nil {
		return op, err
	}
	defer leave()
	poll := time.NewTicker(tailPoll)
	defer poll.Stop()
	for {
		now, err := c.Load(ctx, op.ID)
		if err != nil && ctx.Err() != nil {
			return op, nil
		}
		if err != nil {
			return op, err
		}
		op = now
		if op.State.Ended() {
			return op, nil
		}
		select {
		case <-ctx.Done():
			return op, nil
		case <-live.ch:
		case <-poll.C:
		}
	}
}

// TailEvents feeds every event after a sequence to emit, in order, history and
// live alike, until ctx is done or emit returns an error. idle is called once
// all that was stored has been emitted, and then at every interval. A cursor whose successor expired is ErrCursorExpired.
func (c *Conn) TailEvents(ctx context.Context, after uint64, interval time.Duration, emit func(Event) error, idle func() error) error {
	live := newReader()
	leave, err := c.live.join(contract.SubjectEventLive, "", live)
	if err != nil {
		return err
	}
	defer leave()
	t := tail{
		conn: c, stream: contract.StreamEvents, filter: contract.SubjectEventsAll, last: after,
		previous: previousSeq,
		emit: func(e entry) error {
			event, err := eventOf(e.Subject, e.Seq, e.Time, e.Header, e.Data)
			if err != nil {
				return nil //nolint:nilerr // no event of the contract
			}
			return emit(event)
		},
		gap: func(after, before uint64) error {
			return fmt.Errorf("after %d comes %d: %w", after, before, ErrCursorExpired)
		},
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for first := true; ; first = false {
		newest, err := t.newest(ctx)
		if err != nil {
			return err
		}
		if err := t.catchUp(ctx, newest); err != nil {
			return err
		}
		if first {
			if err := idle(); err != nil {
				return err
			}
		}
		for behind := false; !behind; {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-ticker.C:
				if err := idle(); err != nil {
					return err
				}
				behind = true // a look at the log costs little and heals a lost last message
			case m := <-live.ch:
				if err := t.offer(ctx, m); err != nil {
					return err
				}
				behind = live.missed.Swap(false)
			}
		}
	}
}

// LastEvent is the sequence of the newest event of the log, 0 where it is empty.
func (c *Conn) LastEvent(ctx context.Context) (uint64, error) {
	stream, err := c.js.Stream(ctx, contract.StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", contract.StreamEvents, err)
	}
	return stream.CachedInfo().State.LastSeq, nil
}

func expectedLast(h nats.Header) uint64 {
	seq, _ := strconv.ParseUint(h.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	return seq
}
