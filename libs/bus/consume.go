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

// fetchWait is how long a projection waits for the first event of a batch.
const fetchWait = 5 * time.Second

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
	for {
		err := read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		log.Warn("reading the log begins again", "error", err)
		if wait(ctx, time.Second) != nil {
			return nil
		}
	}
}

func (c *Conn) projectOn(ctx context.Context, consumer string, size int, log *slog.Logger, p Projection) error {
	position, err := p.Position(ctx)
	if err != nil {
		return fmt.Errorf("position: %w", err)
	}
	cons, err := c.startAt(ctx, consumer, position)
	if err != nil {
		return err
	}
	for {
		events, last, err := fetch(ctx, cons, size, position, log)
		if err != nil {
			return err
		}
		if last == nil {
			continue
		}
		if len(events) > 0 {
			if err := p.Apply(ctx, events); err != nil {
				return fmt.Errorf("apply %d events after %d: %w", len(events), position, err)
			}
			position = events[len(events)-1].Seq
		}
		if err := last.Ack(); err != nil {
			return fmt.Errorf("ack: %w", err)
		}
	}
}

// startAt puts the consumer behind position, wherever it stood.
func (c *Conn) startAt(ctx context.Context, consumer string, position uint64) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*requestTimeout)
	defer cancel()
	info, err := c.js.Stream(ctx, contract.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", contract.StreamEvents, err)
	}
	if last := info.CachedInfo().State.LastSeq; last < position {
		return nil, fmt.Errorf("the log ends at %d but the view holds event %d: the log has lost its end", last, position)
	}
	if _, err := c.js.ResetConsumerToSequence(ctx, contract.StreamEvents, consumer, position+1); err != nil {
		return nil, fmt.Errorf("consumer %s from %d: %w", consumer, position+1, err)
	}
	cons, err := c.js.Consumer(ctx, contract.StreamEvents, consumer)
	if err != nil {
		return nil, fmt.Errorf("consumer %s: %w", consumer, err)
	}
	return cons, nil
}

// fetch takes the next events after position. last is the message to
// acknowledge, nil where nothing came.
func fetch(ctx context.Context, cons jetstream.Consumer, size int, position uint64, log *slog.Logger) (events []Event, last jetstream.Msg, err error) {
	// What is there comes at once; only an empty stream waits.
	batch, err := cons.FetchNoWait(size)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch: %w", err)
	}
	events, last, err = gather(batch, position, log)
	if err != nil || last != nil {
		return events, last, err
	}
	pull, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	first, err := cons.Next(jetstream.FetchContext(pull))
	if err != nil {
		if ctx.Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages)) {
			return nil, nil, nil
		}
		return nil, nil, fmt.Errorf("fetch: %w", err)
	}
	if event, ok := decode(first, position, log); ok {
		events = append(events, event)
	}
	return events, first, nil
}

func gather(batch jetstream.MessageBatch, position uint64, log *slog.Logger) (events []Event, last jetstream.Msg, err error) {
	for msg := range batch.Messages() {
		last = msg
		if event, ok := decode(msg, position, log); ok {
			events = append(events, event)
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
		return nil, nil, fmt.Errorf("fetch: %w", err)
	}
	return events, last, nil
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
// sequence on and then as they are stored, until ctx is done or handle returns
// an error. caughtUp is called once, when all that was stored at the start has
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
