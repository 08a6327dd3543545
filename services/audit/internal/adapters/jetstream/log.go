package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// requestTimeout bounds a question about the log.
const requestTimeout = 5 * time.Second

// Log is RDEV_EVENTS. It implements app.EventLog.
type Log struct{ Conn *bus.Conn }

// Bounds implements app.EventLog.
func (l Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := l.Conn.JetStream().Stream(ctx, contract.StreamEvents)
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of %s: %w", contract.StreamEvents, err)
	}
	state := stream.CachedInfo().State
	return state.FirstSeq, state.LastSeq, nil
}
