// Package gateway asks the gateway.
package gateway

import (
	"context"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// patience bounds one question.
const patience = 10 * time.Second

// WorkQueue implements app.WorkQueue.
type WorkQueue struct{ Bus *bus.Conn }

// Load implements app.WorkQueue.
func (q WorkQueue) Load(ctx context.Context) (contract.WorkLoad, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bus.Call[struct{}, contract.WorkLoad](ctx, q.Bus, contract.ServiceGateway, contract.VerbWorkLoad, struct{}{})
}
