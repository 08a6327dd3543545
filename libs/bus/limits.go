package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// UpdateLimit changes what is kept of a budget in the bucket RDEV_LIMITS: change
// makes the next value of the one that is there, nil where there is none. Where
// another was first it is asked again, until ctx ends. What became of an update
// whose answer was lost is not known.
func (c *Conn) UpdateLimit(ctx context.Context, name string, change func([]byte) ([]byte, error)) error {
	subject := contract.LimitSubject(name)
	for {
		if !c.nc.IsConnected() {
			return fmt.Errorf("budget %s: %w", name, errAway)
		}
		now, err := c.last(ctx, contract.StreamLimits, subject)
		if err != nil && !errors.Is(err, contract.ErrNotFound) {
			return fmt.Errorf("budget %s: %w", name, err)
		}
		next, err := change(now.Data)
		if err != nil {
			return fmt.Errorf("budget %s: %w", name, err)
		}
		_, err = c.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: next},
			jetstream.WithExpectStream(contract.StreamLimits), jetstream.WithExpectLastSequencePerSubject(now.Seq), jetstream.WithRetryAttempts(0))
		if code := errorCode(err); (code == errWrongLastSequence || code == errInFlight) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("budget %s: %w", name, err)
		}
		return nil
	}
}
