package bus

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// LastMatching is the sequence of the newest event that a filter matches, 0
// where there is none. A projection of those events which has reached it holds
// everything that was stored before the call.
func (c *Conn) LastMatching(ctx context.Context, filter string) (uint64, error) {
	found, err := c.newest(ctx, contract.StreamEvents, filter)
	if err != nil {
		return 0, fmt.Errorf("last event of %s: %w", filter, err)
	}
	return found.seq, nil
}
