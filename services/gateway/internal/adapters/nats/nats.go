// Package nats is what the gateway asks of NATS: the log, the lanes, and the
// services that keep tables.
package nats

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Gateway is the gateway's use of a connection.
type Gateway struct{ *bus.Conn }

// Create implements app.Operations.
func (g Gateway) Create(ctx context.Context, op contract.Operation) (contract.Operation, error) {
	created, errs := g.CreateAll(ctx, []contract.Operation{op})
	return created[0], errs[0]
}

// CreateAll implements app.Operations.
func (g Gateway) CreateAll(ctx context.Context, operations []contract.Operation) ([]contract.Operation, []error) {
	created, errs := g.Conn.CreateAll(ctx, operations)
	for i, err := range errs {
		if errors.Is(err, bus.ErrConflict) {
			errs[i] = app.ErrExists
		}
	}
	return created, errs
}

// Offer implements app.Lanes.
func (g Gateway) Offer(ctx context.Context, lane contract.Lane, cmd contract.RunOperation) error {
	err := g.Conn.Offer(ctx, lane, cmd)
	if errors.Is(err, bus.ErrLaneTaken) {
		return app.ErrLaneTaken
	}
	return err
}

// Unavailable tells whether an error means that NATS, or the leader of a
// stream, cannot be reached just now.
func Unavailable(err error) bool {
	for _, away := range []error{
		nats.ErrNoResponders, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting, nats.ErrDisconnected,
		jetstream.ErrNoStreamResponse, jetstream.ErrJetStreamNotEnabled,
	} {
		if errors.Is(err, away) {
			return true
		}
	}
	refused, ok := errors.AsType[*jetstream.APIError](err)
	return ok && refused.Code == 503
}
