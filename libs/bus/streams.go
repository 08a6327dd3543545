package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus/access"
	"github.com/orchard9/rdev/libs/contract"
)

// Ensure creates the streams and durable consumers of the contract, or brings
// them up to it. Any number of processes may do so at once.
func (c *Conn) Ensure(ctx context.Context, replicas int, lease contract.Lease) error {
	for _, s := range contract.Streams() {
		if err := c.again(ctx, func(ctx context.Context) error {
			_, err := c.js.CreateOrUpdateStream(ctx, streamConfig(s, replicas))
			return err
		}); err != nil {
			return fmt.Errorf("create stream %s: %w", s.Name, err)
		}
	}
	for _, k := range contract.Consumers(lease) {
		if err := c.again(ctx, func(ctx context.Context) error {
			_, err := c.js.CreateOrUpdateConsumer(ctx, k.Stream, consumerConfig(k))
			return err
		}); err != nil {
			return fmt.Errorf("create consumer %s of %s: %w", k.Name, k.Stream, err)
		}
	}
	return nil
}

// AwaitStreams returns once the streams and durable consumers are there that the
// service works with. The user migrate makes them, maybe after the service started.
func (c *Conn) AwaitStreams(ctx context.Context, log *slog.Logger) error {
	user, _ := access.Of(c.service)
	streams, consumers := user.Needs()
	for _, name := range streams {
		err := c.await(ctx, log, "stream "+name, func(ctx context.Context) error {
			_, err := c.js.Stream(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, of := range consumers {
		if _, err := c.consumer(ctx, of[0], of[1], log); err != nil {
			return err
		}
	}
	return nil
}

// again tries until it is done, ctx ends, or JetStream refuses for good.
func (c *Conn) again(ctx context.Context, try func(context.Context) error) error {
	for told := (time.Time{}); ; {
		one, cancel := context.WithTimeout(ctx, 5*requestTimeout)
		err := try(one)
		cancel()
		var refused *jetstream.APIError
		if err == nil || errors.As(err, &refused) && refused.Code < 500 && refused.ErrorCode != errNoSuitablePeers {
			return err
		}
		if now := time.Now(); ctx.Err() == nil && now.Sub(told) >= troubleInterval {
			told = now
			c.trouble.log.Warn("JetStream is asked again", "error", err)
		}
		if wait(ctx, requestTimeout/8) != nil {
			return err
		}
	}
}

// consumer finds a durable consumer, and waits for one that is not there yet.
func (c *Conn) consumer(ctx context.Context, stream, name string, log *slog.Logger) (cons jetstream.Consumer, err error) {
	err = c.await(ctx, log, "consumer "+name+" of "+stream, func(ctx context.Context) (err error) {
		cons, err = c.js.Consumer(ctx, stream, name)
		return err
	})
	return cons, err
}

// await looks for something until it is there, and says so in the log where it has to
// wait.
func (c *Conn) await(ctx context.Context, log *slog.Logger, what string, look func(context.Context) error) error {
	for waiting := false; ; waiting = true {
		err := c.again(ctx, look)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w: %w", what, err, ctx.Err())
		case !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrConsumerNotFound):
			return fmt.Errorf("%s: %w", what, err)
		case !waiting:
			log.Warn("waiting for what NATS does not have yet: the command `gateway streams` makes it", "missing", what)
		}
		_ = wait(ctx, requestTimeout/8) // the next look tells its end
	}
}

// errNoSuitablePeers is what a cluster answers that is still forming.
const errNoSuitablePeers jetstream.ErrorCode = 10005

func streamConfig(s contract.Stream, replicas int) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:                 s.Name,
		Description:          s.Description,
		Subjects:             s.Subjects,
		Replicas:             replicas,
		MaxAge:               s.MaxAge,
		MaxBytes:             s.MaxBytes,
		MaxMsgSize:           s.MaxMessage,
		MaxMsgsPerSubject:    -1,
		MaxConsumers:         -1,
		DenyDelete:           s.DenyDelete,
		AllowDirect:          true,
		AllowAtomicPublish:   s.AtomicBatches,
		DiscardNewPerSubject: s.OnePerSubject,
	}
	if s.TransformFrom != "" {
		cfg.SubjectTransform = &jetstream.SubjectTransformConfig{Source: s.TransformFrom, Destination: s.TransformTo}
	}
	if s.RepublishFrom != "" {
		cfg.RePublish = &jetstream.RePublish{Source: s.RepublishFrom, Destination: s.RepublishTo}
	}
	if s.WorkQueue {
		cfg.Retention = jetstream.WorkQueuePolicy
	}
	if s.DiscardNew {
		cfg.Discard = jetstream.DiscardNew
	}
	if s.OnePerSubject {
		cfg.MaxMsgsPerSubject = 1
	}
	if s.MaxPerSubject > 0 {
		cfg.MaxMsgsPerSubject = s.MaxPerSubject
	}
	if s.MaxConsumers > 0 {
		cfg.MaxConsumers = s.MaxConsumers
	}
	if s.Compress {
		cfg.Compression = jetstream.S2Compression
	}
	if s.Async && replicas == 1 {
		cfg.PersistMode = jetstream.AsyncPersistMode
	}
	return cfg
}

func consumerConfig(k contract.Consumer) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Durable:       k.Name,
		FilterSubject: k.Filter,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       k.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: k.MaxPending,
		MaxWaiting:    1024,
	}
	if k.AckAll {
		cfg.AckPolicy = jetstream.AckAllPolicy
	}
	return cfg
}
