package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// OutputSink takes what a follower of operations sees. An error ends it. The
// operations are shared with other followers, and only for reading.
type OutputSink interface {
	Chunk(contract.Chunk) error
	// State is the operation whenever it changes, and at the start.
	State(*contract.Operation) error
	// Gap says that chunks of an operation between two sequences are not kept any more.
	Gap(operation string, after, before uint64) error
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

// OutputFollower follows an operation, and its output or that of its steps. It belongs
// to one caller.
//
// Thousands of goroutines wait in Feed, so it takes and keeps operations by
// reference: their stacks stay small.
type OutputFollower struct {
	conn    *Conn
	id      string
	how     Follow
	steps   bool // the output is that of steps
	live    *reader
	leave   []func()
	out     merge
	op      *contract.Operation // as it was seen last
	sink    OutputSink
	resumed bool // all that was stored when it began was seen
}

// FollowOutput finds an operation, whose output Feed then tells. One that the log
// does not hold is contract.ErrNotFound, and a cursor whose next chunk is gone
// ErrCursorExpired. The caller has to call Close.
func (c *Conn) FollowOutput(ctx context.Context, id string, how Follow) (*OutputFollower, error) {
	f := &OutputFollower{conn: c, id: id, how: how, live: newReader()}
	return f.found(ctx, []string{id})
}

// FollowBuild is FollowOutput of a build: the output is that of steps, which are named by
// their operations. All of it is one stream with one cursor, in the order in which it was
// stored. Where State says that a step has ended its output was told before, but for what
// was stored when Feed began.
func (c *Conn) FollowBuild(ctx context.Context, id string, steps []string, how Follow) (*OutputFollower, error) {
	f := &OutputFollower{conn: c, id: id, how: how, live: newReader(), steps: true}
	return f.found(ctx, steps)
}

// found is the follower once it has found the operation.
func (f *OutputFollower) found(ctx context.Context, outputs []string) (*OutputFollower, error) {
	f.out = newMerge(f.conn, outputs, f.how.After)
	f.out.emit = func(e entry) error { return f.sink.Chunk(chunkOf(e)) }
	f.out.gap = f.gap
	err := f.join()
	if err == nil {
		var op contract.Operation
		op, err = f.conn.Load(ctx, f.id)
		f.op = &op
	}
	if err == nil && f.how.After > 0 {
		err = f.out.check(ctx)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// join has live receive the output, and what happens to the operation.
func (f *OutputFollower) join() error {
	leave, err := f.conn.live.join(contract.SubjectEventLive, f.id, f.live)
	for _, subject := range f.out.subjects {
		if err != nil {
			break
		}
		f.leave = append(f.leave, leave)
		leave, err = f.conn.live.join(subject, "", f.live)
	}
	if err == nil {
		f.leave = append(f.leave, leave)
	}
	return err
}

// Close lets go of what the follower holds.
func (f *OutputFollower) Close() {
	for _, leave := range f.leave {
		leave()
	}
}

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

func (f *OutputFollower) gap(subject string, last, before uint64) error {
	if f.how.After > 0 && last == f.how.After && !f.resumed {
		return fmt.Errorf("after %d comes %d: %w", f.how.After, before, ErrCursorExpired)
	}
	return f.sink.Gap(strings.TrimPrefix(subject, contract.SubjectOutput), last+1, before-1)
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

// next takes a live message, and looks after the last of those that came what there is
// besides: chunks in between, and those that were dropped.
func (f *OutputFollower) next(ctx context.Context, m *nats.Msg) error {
	if err := f.take(ctx, m); err != nil || len(f.live.ch) > 0 {
		return err
	}
	if f.live.missed.Swap(false) {
		return f.reload(ctx)
	}
	return f.out.settle(ctx)
}

func (f *OutputFollower) take(ctx context.Context, m *nats.Msg) error {
	if strings.HasPrefix(m.Subject, contract.SubjectOutput) {
		return f.out.offer(m)
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
		if err := f.tell(ctx, false); err != nil || f.op.State.Ended() {
			return err
		}
	}
	return f.catchUp(ctx)
}

// tell passes the operation on, and at the beginning and the end the output: the
// executor stores all of it before it ends an operation, so at its end the stream
// has everything. Of steps it has whenever one has ended.
func (f *OutputFollower) tell(ctx context.Context, first bool) error {
	ended := f.op.State.Ended()
	if !ended && (first || !f.steps) {
		if err := f.sink.State(f.op); err != nil || !first {
			return err
		}
	}
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	switch {
	case ended:
		return f.sink.End(f.op)
	case first:
		return nil
	}
	return f.sink.State(f.op)
}

func (f *OutputFollower) catchUp(ctx context.Context) error {
	err := f.out.catchUp(ctx)
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
		conn: c, last: after,
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
		newest, err := c.awaitNewest(ctx, contract.StreamEvents, contract.SubjectEventsAll)
		if err != nil {
			return err
		}
		if err := t.catchUp(ctx, newest.seq); err != nil {
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
