package bus

import (
	"context"
	"errors"
)

// errEnough ends a read.
var errEnough = errors.New("enough")

// ReadEvents reads the events after a sequence, up to and including another, of which
// it is known that it was stored. Those that the log has forgotten, and messages that
// are no events, are left out.
func (c *Conn) ReadEvents(ctx context.Context, after, upTo uint64) ([]Event, error) {
	var events []Event
	t := tail{
		conn: c, last: after,
		emit: func(e entry) error {
			if e.Seq > upTo {
				return errEnough
			}
			event, err := eventOf(e.Subject, e.Seq, e.Time, e.Header, e.Data)
			if err == nil {
				events = append(events, event)
			}
			return nil
		},
		gap: func(uint64, uint64) error { return nil },
	}
	if err := t.catchUp(ctx, upTo); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return events, nil
}
