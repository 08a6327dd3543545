package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// LastMatching is the sequence of the newest event that a filter matches, 0
// where there is none. A projection of those events which has reached it holds
// everything that was stored before the call.
func (c *Conn) LastMatching(ctx context.Context, filter string) (uint64, error) {
	return c.ends.do(ctx, contract.StreamEvents+" "+filter, func(ctx context.Context) (uint64, error) {
		e, err := c.last(ctx, contract.StreamEvents, filter)
		if err != nil && !errors.Is(err, contract.ErrNotFound) {
			return 0, fmt.Errorf("last event of %s: %w", filter, err)
		}
		return e.Seq, nil
	})
}
