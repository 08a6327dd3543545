// Package nats is what the gateway asks of NATS: the log, the lanes, and the
// services that keep tables.
package nats

import (
	"context"
	"errors"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Gateway is the gateway's use of a connection.
type Gateway struct{ *bus.Conn }

// Create implements app.Operations.
func (g Gateway) Create(ctx context.Context, op contract.Operation) (contract.Operation, error) {
	created, err := g.Append(ctx, nil, contract.OperationPending{Operation: op})
	if errors.Is(err, bus.ErrConflict) {
		return created, app.ErrExists
	}
	return created, err
}

// Offer implements app.Lanes.
func (g Gateway) Offer(ctx context.Context, lane contract.Lane, cmd contract.RunOperation) error {
	err := g.Conn.Offer(ctx, lane, cmd)
	if errors.Is(err, bus.ErrLaneTaken) {
		return app.ErrLaneTaken
	}
	return err
}

// Operations implements httpapi.Queries.
func (g Gateway) Operations(ctx context.Context, list contract.ListOperations) (contract.OperationList, error) {
	return bus.Call[contract.ListOperations, contract.OperationList](ctx, g.Conn, contract.ServiceAudit, contract.VerbListOperations, list)
}

// Operation implements httpapi.Queries.
func (g Gateway) Operation(ctx context.Context, id string) (contract.Operation, error) {
	return bus.Call[contract.GetOperation, contract.Operation](ctx, g.Conn, contract.ServiceAudit, contract.VerbGetOperation, contract.GetOperation{ID: id})
}

// Projects implements httpapi.Queries.
func (g Gateway) Projects(ctx context.Context, list contract.ListProjects) (contract.ProjectList, error) {
	return bus.Call[contract.ListProjects, contract.ProjectList](ctx, g.Conn, contract.ServiceProvisioner, contract.VerbListProjects, list)
}

// Agents implements httpapi.Queries.
func (g Gateway) Agents(ctx context.Context) (contract.AgentList, error) {
	return bus.Call[struct{}, contract.AgentList](ctx, g.Conn, contract.ServiceExecutor, contract.VerbAgents, struct{}{})
}
