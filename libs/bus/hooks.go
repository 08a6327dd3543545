package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// hookBatch is how many messages a consumer of events or hooks takes ahead.
const hookBatch = 64

// EachEvent hands every event of a durable consumer to handle, in order and one
// at a time, until ctx is done. An event counts as handled once handle returned
// nil; until then it comes again, and the next one waits.
func (c *Conn) EachEvent(ctx context.Context, consumer string, log *slog.Logger, handle func(context.Context, Event) error) error {
	return c.eachMessage(ctx, contract.StreamEvents, consumer, log, func(msg jetstream.Msg) {
		meta, err := msg.Metadata()
		if err != nil {
			log.Warn("delivery ignored", "consumer", consumer, "error", err)
			return
		}
		event, ok := decode(msg, meta, log)
		for pause := 100 * time.Millisecond; ok; pause = min(2*pause, 10*time.Second) {
			err := handle(extractTrace(ctx, msg.Headers()), event)
			if err == nil {
				break
			}
			if wait(ctx, pause) != nil {
				_ = msg.Nak() // without it the server waits for a while
				return
			}
			log.Warn("event comes again", "seq", event.Seq, "consumer", consumer, "error", err)
			_ = msg.InProgress() // without it a copy comes, which is handled as well
		}
		if err := msg.Ack(); err != nil {
			log.Warn("answer to NATS lost", "error", err)
		}
	})
}

// eachMessage hands over what a consumer has until ctx is done. What was taken
// ahead by then is given back at once.
func (c *Conn) eachMessage(ctx context.Context, stream, consumer string, log *slog.Logger, take func(jetstream.Msg)) error {
	cons, err := c.consumer(ctx, stream, consumer, log)
	if err != nil {
		return err
	}
	messages, err := cons.Messages(jetstream.PullMaxMessages(hookBatch))
	if err != nil {
		return fmt.Errorf("consumer %s: %w", consumer, err)
	}
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return giveBack(messages, msg)
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, jetstream.ErrConsumerDeleted):
			return fmt.Errorf("consumer %s: %w", consumer, err)
		case err != nil:
			log.Warn("fetch comes again", "consumer", consumer, "error", err)
		default:
			take(msg)
		}
	}
}

func giveBack(messages jetstream.MessagesContext, msg jetstream.Msg) error {
	messages.Drain()
	var err error
	for ; err == nil; msg, err = messages.Next() {
		if msg != nil {
			_ = msg.Nak() // without it the server waits for a while
		}
	}
	return nil
}

// Hook is the delivery of an event to an endpoint, in the hands of somebody who
// settles it with one of Done, Later and Again.
type Hook struct {
	Endpoint string
	EventID  string
	Header   nats.Header // as it was given to Due
	Data     []byte
	msg      jetstream.Msg
	conn     *Conn
}

// DueHook has an event delivered to an endpoint. Doing so twice within two
// minutes counts once. The event's id is a token of a subject.
func (c *Conn) DueHook(ctx context.Context, endpoint, eventID string, header nats.Header, data []byte) error {
	m := hookMessage(contract.HookDue(endpoint, eventID), header, data)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := c.js.PublishMsg(ctx, m, jetstream.WithMsgID(endpoint+":"+eventID), jetstream.WithExpectStream(contract.StreamHooks))
	if err != nil {
		return fmt.Errorf("event %s due to %s: %w", eventID, endpoint, err)
	}
	return nil
}

// hookMessage leaves out what NATS made of the message before: an id would have
// the copy dropped as a duplicate, a schedule would start again.
func hookMessage(subject string, header nats.Header, data []byte) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data = data
	for name, values := range header {
		if !strings.HasPrefix(strings.ToLower(name), "nats-") {
			m.Header[name] = values
		}
	}
	return m
}

// Hooks hands over deliveries that are due until ctx is done. take must not
// wait: whoever it gives a delivery to renews and settles it.
func (c *Conn) Hooks(ctx context.Context, log *slog.Logger, take func(*Hook)) error {
	return c.eachMessage(ctx, contract.StreamHooks, contract.ConsumerDeliver, log, func(msg jetstream.Msg) {
		tokens := strings.Split(msg.Subject(), ".")
		take(&Hook{
			Endpoint: tokens[len(tokens)-2], EventID: tokens[len(tokens)-1], // the consumer's filter sees to that
			Header: msg.Headers(), Data: msg.Data(), msg: msg, conn: c,
		})
	})
}

// DropHooks removes all that is due to an endpoint, now or later.
func (c *Conn) DropHooks(ctx context.Context, endpoint string) error {
	stream, err := c.js.Stream(ctx, contract.StreamHooks)
	if err != nil {
		return fmt.Errorf("stream %s: %w", contract.StreamHooks, err)
	}
	for _, subject := range []string{contract.HookDue(endpoint, "*"), contract.HookRetry(endpoint, "*")} {
		if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return fmt.Errorf("purge %s: %w", subject, err)
		}
	}
	return nil
}

// Renew keeps the delivery from being handed over again.
func (h *Hook) Renew() error { return h.msg.InProgress() }

// Done settles the delivery for good.
func (h *Hook) Done(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := h.msg.DoubleAck(ctx); err != nil {
		return fmt.Errorf("settle %s to %s: %w", h.EventID, h.Endpoint, err)
	}
	return nil
}

// Later has the delivery come again at a time, to the second, and meanwhile take
// no room. One that was planned before and comes a second time replaces its plan.
func (h *Hook) Later(ctx context.Context, at time.Time) error {
	publish, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := h.conn.js.PublishMsg(publish, hookMessage(contract.HookRetry(h.Endpoint, h.EventID), h.Header, h.Data),
		jetstream.WithScheduleAt(at), jetstream.WithScheduleTarget(contract.HookDue(h.Endpoint, h.EventID)),
		jetstream.WithExpectStream(contract.StreamHooks))
	if err != nil {
		return fmt.Errorf("plan %s to %s: %w", h.EventID, h.Endpoint, err)
	}
	return h.Done(ctx)
}

// Again hands the delivery back; it comes again after a while.
func (h *Hook) Again(after time.Duration) error { return h.msg.NakWithDelay(after) }
