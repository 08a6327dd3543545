package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// Projection is a view of the log that some database keeps. T is what it makes
// of an event before the database sees it.
type Projection[T any] interface {
	// Position is the sequence of the last event that the view holds: the view,
	// not the consumer, knows where it stands.
	Position(ctx context.Context) (uint64, error)
	// Decode does the work on an event that needs no database, while the events
	// before it are stored.
	Decode(event Event) T
	// Apply stores events, in order, together with the sequence of the last, and
	// keeps none. After an error the same events come again.
	Apply(ctx context.Context, events []T, last uint64) error
}

// RunProjection feeds the events of a durable consumer that acknowledges all up
// to a message to a projection, in order and in batches of what is there, up to
// size, until ctx is done. One process at a time may project into a view; the
// caller sees to that.
func RunProjection[T any](ctx context.Context, c *Conn, consumer string, size int, log *slog.Logger, p Projection[T]) error {
	return c.Keep(ctx, log.With("consumer", consumer), func(ctx context.Context) error {
		return projectOn(ctx, c, consumer, size, log, p)
	})
}

// Keep runs what reads the log again whenever it ends, a second later, until
// ctx is done: an outage of NATS or of a database must not end a service.
func (c *Conn) Keep(ctx context.Context, log *slog.Logger, read func(context.Context) error) error {
	for ctx.Err() == nil {
		err := read(ctx)
		if ctx.Err() == nil {
			log.Warn("reading the log begins again", "error", err)
			_ = wait(ctx, time.Second) // ctx's end ends the loop
		}
	}
	return nil
}

func projectOn[T any](ctx context.Context, c *Conn, consumer string, size int, log *slog.Logger, p Projection[T]) error {
	position, err := p.Position(ctx)
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	cons, delivered, err := c.startAt(ctx, consumer, position)
	if err != nil {
		return err
	}
	// The next batch comes, and is decoded, while the last one is stored.
	deliveries := make(chan delivery[T], size)
	consuming, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case deliveries <- deliveryOf(m, p, log):
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(min(size, maxPull)))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", consumer, err)
	}
	defer consuming.Stop()
	b := batch[T]{position: position, delivered: delivered}
	for before := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-consuming.Closed():
			return fmt.Errorf("consumer %s is gone", consumer)
		case d := <-deliveries:
			err = b.add(d)
		}
		if before > few && len(deliveries) < many {
			_ = wait(ctx, gather) // ctx's end is found after the batch
		}
		for err == nil && len(b.events) < size && b.bytes < maxBatchBytes && len(deliveries) > 0 {
			err = b.add(<-deliveries)
		}
		before = len(b.events)
		if err == nil {
			err = b.apply(ctx, p)
		}
		if err == nil {
			err = c.ackUpTo(b.reply)
		}
		if err != nil {
			return err
		}
	}
}

const (
	// maxBatchBytes is about the most that the bodies of one batch may have.
	maxBatchBytes = 16 << 20
	// maxPull is the most messages that wait, whole, to be decoded.
	maxPull = 1000

	// A transaction of few events is mostly begin and commit. So where more than few came
	// at once the next wait for others, for gather, unless there are many.
	few    = 8
	many   = 256
	gather = 10 * time.Millisecond
)

// delivery is a message of a consumer, and what the projection made of the event
// in it. It keeps no header: what is not needed any more is the most of it.
type delivery[T any] struct {
	reply string // where it is acknowledged
	count uint64 // the consumer's own
	seq   uint64 // of the event; 0 where there is none
	bytes int
	event T
	err   error // it is no message of a consumer
}

func deliveryOf[T any](m jetstream.Msg, p Projection[T], log *slog.Logger) delivery[T] {
	meta, err := m.Metadata()
	if err != nil {
		return delivery[T]{err: fmt.Errorf("delivery: %w", err)}
	}
	d := delivery[T]{reply: m.Reply(), count: meta.Sequence.Consumer}
	if event, ok := decode(m, meta, log); ok {
		d.seq, d.bytes, d.event = event.Seq, len(event.Data), p.Decode(event)
	}
	return d
}

// batch is what is applied to a projection at once.
type batch[T any] struct {
	position  uint64 // of the last event in it, or else of the view
	delivered uint64 // consumer sequence of the last message
	reply     string // of the last message
	events    []T
	bytes     int
}

// add takes the next message. One that was lost on its way leaves a hole in the
// consumer's own count; acknowledging past it would lose it for good.
func (b *batch[T]) add(d delivery[T]) error {
	if d.err == nil && d.count != b.delivered+1 {
		d.err = fmt.Errorf("delivery %d came after %d: some were lost on their way", d.count, b.delivered)
	}
	if d.err != nil {
		return d.err
	}
	b.delivered, b.reply = d.count, d.reply
	if d.seq > b.position {
		b.position, b.events, b.bytes = d.seq, append(b.events, d.event), b.bytes+d.bytes
	}
	return nil
}

func (b *batch[T]) apply(ctx context.Context, p Projection[T]) error {
	if n := len(b.events); n > 0 {
		if err := p.Apply(ctx, b.events, b.position); err != nil {
			return fmt.Errorf("apply %d events up to %d: %w", n, b.position, err)
		}
	}
	clear(b.events)
	b.events, b.bytes = b.events[:0], 0
	return nil
}

// ackUpTo acknowledges a message of a consumer, and with it all before.
func (c *Conn) ackUpTo(reply string) error {
	if err := c.nc.Publish(reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("ack: %w", err)
	}
	return nil
}

// startAt puts the consumer behind position, wherever it stood. delivered is
// what the consumer counts as delivered so far.
func (c *Conn) startAt(ctx context.Context, consumer string, position uint64) (cons jetstream.Consumer, delivered uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*requestTimeout)
	defer cancel()
	info, err := c.js.Stream(ctx, contract.StreamEvents)
	if err != nil {
		return nil, 0, fmt.Errorf("stream %s: %w", contract.StreamEvents, err)
	}
	if last := info.CachedInfo().State.LastSeq; last < position {
		return nil, 0, fmt.Errorf("the log ends at %d but the view holds event %d: the log has lost its end", last, position)
	}
	if _, err := c.js.ResetConsumerToSequence(ctx, contract.StreamEvents, consumer, position+1); err != nil {
		return nil, 0, fmt.Errorf("consumer %s from %d: %w", consumer, position+1, err)
	}
	if cons, err = c.js.Consumer(ctx, contract.StreamEvents, consumer); err != nil {
		return nil, 0, fmt.Errorf("consumer %s: %w", consumer, err)
	}
	return cons, cons.CachedInfo().Delivered.Consumer, nil
}

// decode makes an event of a message, unless it is none.
func decode(msg jetstream.Msg, meta *jetstream.MsgMetadata, log *slog.Logger) (event Event, ok bool) {
	event, err := eventOf(msg.Subject(), meta.Sequence.Stream, meta.Timestamp, msg.Headers(), msg.Data())
	if err != nil {
		log.Warn("event ignored", "error", err)
		return Event{}, false
	}
	return event, true
}

// Follow feeds every event that a filter matches to handle, in order, from the
// sequence on and then as they are stored, until ctx is done or handle returns an
// error. caughtUp is called once, when all that was stored at the start has
// been handled. It keeps no position: it is for state that lives in memory.
func (c *Conn) Follow(ctx context.Context, filter string, from uint64, log *slog.Logger, handle func(Event) error, caughtUp func()) error {
	stored, err := c.last(ctx, contract.StreamEvents, filter)
	if err != nil && !errors.Is(err, contract.ErrNotFound) {
		return fmt.Errorf("follow %s: %w", filter, err)
	}
	behind := stored.Seq > 0 && stored.Seq >= from
	if !behind {
		caughtUp()
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}}
	if from > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, from
	}
	cons, err := c.js.OrderedConsumer(ctx, contract.StreamEvents, cfg)
	if err != nil {
		return fmt.Errorf("follow %s: %w", filter, err)
	}
	messages, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("follow %s: %w", filter, err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow %s: %w", filter, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("follow %s: %w", filter, err)
		}
		if event, ok := decode(msg, meta, log); ok {
			if err := handle(event); err != nil {
				return err
			}
		}
		if behind && meta.Sequence.Stream >= stored.Seq {
			behind = false
			caughtUp()
		}
	}
}
