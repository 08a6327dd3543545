package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

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

// again tries until it is done, ctx ends, or JetStream refuses for good.
func (c *Conn) again(ctx context.Context, try func(context.Context) error) error {
	for {
		one, cancel := context.WithTimeout(ctx, 5*requestTimeout)
		err := try(one)
		cancel()
		var refused *jetstream.APIError
		if err == nil || errors.As(err, &refused) && refused.Code < 500 && refused.ErrorCode != errNoSuitablePeers {
			return err
		}
		if wait(ctx, requestTimeout/8) != nil {
			return err
		}
	}
}

// consumer finds a durable consumer, and waits for one that is not there yet: a
// service may start before the gateway, which makes them.
func (c *Conn) consumer(ctx context.Context, stream, name string, log *slog.Logger) (cons jetstream.Consumer, err error) {
	for waiting := false; ; waiting = true {
		err := c.again(ctx, func(ctx context.Context) (err error) {
			cons, err = c.js.Consumer(ctx, stream, name)
			return err
		})
		switch {
		case err == nil:
			return cons, nil
		case !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrConsumerNotFound):
			return nil, fmt.Errorf("consumer %s of %s: %w", name, stream, err)
		case !waiting:
			log.Info("waiting for a consumer that is not made yet", "consumer", name, "stream", stream)
		}
		if wait(ctx, requestTimeout/8) != nil {
			return nil, fmt.Errorf("consumer %s of %s: %w", name, stream, err)
		}
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
		AllowMsgSchedules:    s.Schedules,
		AllowMsgTTL:          s.Schedules,
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
