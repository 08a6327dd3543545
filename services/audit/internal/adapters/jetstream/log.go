package jetstream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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

// Next implements app.EventLog. Messages that are no events of the contract are
// passed over, as the bus does.
func (l Log) Next(ctx context.Context, after uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stream, err := l.Conn.JetStream().Stream(ctx, contract.StreamEvents)
	if err != nil {
		return 0, fmt.Errorf("event after %d: %w", after, err)
	}
	for {
		m, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(contract.SubjectEventsAll))
		if err != nil {
			return 0, fmt.Errorf("event after %d: %w", after, err)
		}
		if _, _, _, ok := contract.ParseEventSubject(m.Subject); ok {
			return m.Sequence, nil
		}
		after = m.Sequence
	}
}
