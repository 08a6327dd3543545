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

// Projection is a view of the log that some database keeps.
type Projection interface {
	// Position is the sequence of the last event that the view holds: the view,
	// not the consumer, knows where it stands.
	Position(ctx context.Context) (uint64, error)
	// Apply stores the events, in order, together with the sequence of the last.
	// After an error the same events come again.
	Apply(ctx context.Context, events []Event) error
}

// RunProjection feeds the events of a durable consumer to a projection, in order and
// in batches of what is there, up to size, until ctx is done. One process at a
// time may project into a view; the caller sees to that.
func (c *Conn) RunProjection(ctx context.Context, consumer string, size int, log *slog.Logger, p Projection) error {
	return c.Keep(ctx, log.With("consumer", consumer), func(ctx context.Context) error {
		return c.projectOn(ctx, consumer, size, log, p)
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

func (c *Conn) projectOn(ctx context.Context, consumer string, size int, log *slog.Logger, p Projection) error {
	position, err := p.Position(ctx)
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	cons, delivered, err := c.startAt(ctx, consumer, position)
	if err != nil {
		return err
	}
	// The next batch comes while the last one is stored.
	messages := make(chan jetstream.Msg, size)
	consuming, err := cons.Consume(func(m jetstream.Msg) {
		select {
		case messages <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(size))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", consumer, err)
	}
	defer consuming.Stop()
	b := batch{position: position, delivered: delivered, log: log}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-consuming.Closed():
			return fmt.Errorf("consumer %s is gone", consumer)
		case m := <-messages:
			err = b.add(m)
		}
		for err == nil && len(b.events) < size && b.bytes < maxBatchBytes && len(messages) > 0 {
			err = b.add(<-messages)
		}
		if err == nil {
			err = b.apply(ctx, p)
		}
		if err != nil {
			return err
		}
	}
}

// maxBatchBytes is about the most that the bodies of one batch may have.
const maxBatchBytes = 16 << 20

// batch is what is applied to a projection at once.
type batch struct {
	position  uint64 // of the view
	delivered uint64 // consumer sequence of the last message
	events    []Event
	bytes     int
	last      jetstream.Msg
	log       *slog.Logger
}

// add takes the next message. One that was lost on its way leaves a hole in the
// consumer's own count; acknowledging past it would lose it for good.
func (b *batch) add(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("delivery: %w", err)
	}
	if meta.Sequence.Consumer != b.delivered+1 {
		return fmt.Errorf("delivery %d came after %d: some were lost on their way", meta.Sequence.Consumer, b.delivered)
	}
	b.delivered, b.last = meta.Sequence.Consumer, m
	if event, ok := decode(m, b.position, b.log); ok {
		b.events, b.bytes = append(b.events, event), b.bytes+len(event.Data)
	}
	return nil
}

func (b *batch) apply(ctx context.Context, p Projection) error {
	if n := len(b.events); n > 0 {
		if err := p.Apply(ctx, b.events); err != nil {
			return fmt.Errorf("apply %d events after %d: %w", n, b.position, err)
		}
		b.position = b.events[n-1].Seq
	}
	b.events, b.bytes = nil, 0
	if err := b.last.Ack(); err != nil {
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

// decode makes an event of a message, unless the view holds it or it is none.
func decode(msg jetstream.Msg, position uint64, log *slog.Logger) (Event, bool) {
	meta, err := msg.Metadata()
	if err != nil || meta.Sequence.Stream <= position {
		return Event{}, false
	}
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
		if event, ok := decode(msg, 0, log); ok {
			if err := handle(event); err != nil {
				return err
			}
		}
		if meta, err := msg.Metadata(); behind && err == nil && meta.Sequence.Stream >= stored.Seq {
			behind = false
			caughtUp()
		}
	}
}
