// Package postgres keeps API keys for longer than the log does.
package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
)

// projection is the name of the keys' row in positions.
const projection = "keys"

// Keys is the projection of the events of keys. It implements bus.Projection and
// app.KeyUses.
type Keys struct{ Pool *pgxpool.Pool }

// Position implements bus.Projection.
func (k Keys) Position(ctx context.Context) (uint64, error) {
	return database.Position(ctx, k.Pool, projection)
}

// Snapshot is a key as an event left it. Data is nil where no writer of ours wrote
// it: the position passes over it.
type Snapshot struct {
	ID   string
	Seq  uint64
	Data json.RawMessage
}

// Decode implements bus.Projection.
func (Keys) Decode(event bus.Event) Snapshot {
	if _, err := event.APIKey(); err != nil {
		return Snapshot{}
	}
	return Snapshot{ID: event.Key, Seq: event.Seq, Data: event.Data}
}

// Apply implements bus.Projection. Events that come again change nothing.
func (k Keys) Apply(ctx context.Context, snapshots []Snapshot, last uint64) error {
	batch := &pgx.Batch{}
	for _, s := range snapshots {
		if s.Data == nil {
			continue
		}
		batch.Queue(`
			insert into keys (id, last_seq, doc) values ($1, $2, $3)
			on conflict (id) do update set last_seq = excluded.last_seq, doc = excluded.doc
			where keys.last_seq < excluded.last_seq`, s.ID, s.Seq, s.Data)
	}
	database.Advance(batch, projection, last)
	return pgx.BeginFunc(ctx, k.Pool, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("store keys: %w", err)
		}
		return nil
	})
}

// Each tells of every key, in no order.
func (k Keys) Each(ctx context.Context, tell func(contract.Key)) error {
	rows, err := k.Pool.Query(ctx, `select doc, last_seq from keys`)
	if err != nil {
		return fmt.Errorf("query keys: %w", err)
	}
	var key contract.Key
	var seq uint64
	_, err = pgx.ForEachRow(rows, []any{&key, &seq}, func() error {
		key.Seq = seq
		tell(key)
		key = contract.Key{}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read keys: %w", err)
	}
	return nil
}

// Used stores when keys were used last, by id. What is known to be later stays.
func (k Keys) Used(ctx context.Context, used map[string]time.Time) error {
	ids, times := make([]string, 0, len(used)), make([]time.Time, 0, len(used))
	for id, at := range used {
		ids, times = append(ids, id), append(times, at)
	}
	_, err := k.Pool.Exec(ctx, `
		insert into key_uses (key_id, last_used_at) select * from unnest($1::text[], $2::timestamptz[])
		on conflict (key_id) do update set last_used_at = greatest(key_uses.last_used_at, excluded.last_used_at)`, ids, times)
	if err != nil {
		return fmt.Errorf("store uses of keys: %w", err)
	}
	return nil
}

// LastUsed implements app.KeyUses.
func (k Keys) LastUsed(ctx context.Context, ids []string) (map[string]time.Time, error) {
	rows, err := k.Pool.Query(ctx, `select key_id, last_used_at from key_uses where key_id = any($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("query uses of keys: %w", err)
	}
	used := map[string]time.Time{}
	var id string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		used[id] = at
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read uses of keys: %w", err)
	}
	return used, nil
}
