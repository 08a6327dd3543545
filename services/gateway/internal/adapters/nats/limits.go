package nats

import (
	"context"
	"encoding/json"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// UpdatePool implements app.Pools. One that cannot be read is begun anew: a budget
// that is forgotten is full.
func (g Gateway) UpdatePool(ctx context.Context, name string, change func(domain.Pool) domain.Pool) error {
	return g.UpdateLimit(ctx, name, func(body []byte) ([]byte, error) {
		var pool domain.Pool
		if json.Unmarshal(body, &pool) != nil {
			pool = domain.Pool{}
		}
		return json.Marshal(change(pool))
	})
}
