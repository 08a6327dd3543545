package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func keys() entity[contract.Key] {
	return entity[contract.Key]{
		name:    contract.EntityKey,
		seq:     func(k *contract.Key) *uint64 { return &k.Seq },
		project: func(contract.Key) string { return "" },
		next:    contract.NextKey,
	}
}

// UpdateKey is UpdateProject for an API key.
func (c *Conn) UpdateKey(ctx context.Context, id string, decide func(*contract.Key) (eventType string, proposed contract.Key, err error)) (contract.Key, error) {
	return keys().update(ctx, c, id, decide)
}

// RenewKey appends the last event of an API key that was not revoked again, if it is
// older than old: contract.RenewAfter, before the log forgets it. known is the key
// where it has.
func (c *Conn) RenewKey(ctx context.Context, known contract.Key, old time.Duration) (renewed bool, err error) {
	return keys().renew(ctx, c, known.ID, contract.TypeKeyRenewed, known, old)
}

// APIKey decodes the snapshot that an event of a key carries. It is an error where
// the event is of another entity, or carries another key.
func (e Event) APIKey() (contract.Key, error) {
	var key contract.Key
	if e.Entity != contract.EntityKey {
		return key, fmt.Errorf("event %d is of a %s, not of a key", e.Seq, e.Entity)
	}
	if err := json.Unmarshal(e.Data, &key); err != nil {
		return key, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	if key.ID != e.Key {
		return key, fmt.Errorf("event %d of key %q carries key %q", e.Seq, e.Key, key.ID)
	}
	key.Seq = e.Seq
	return key, nil
}
