// Package postgres keeps the audit's view of the log in PostgreSQL, and sees to
// it that one process at a time writes it.
package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
)

// View is the audit's schema. It implements app.View.
type View struct{ Pool *pgxpool.Pool }

// rebuildChannel is where the leader hears that the view was emptied. Channels
// belong to the whole database, so the schema is part of the name.
const rebuildChannel = `current_schema() || '_rebuild'`

// selectOperations reads what operationOf takes: an operation's snapshot is the
// body of its last legal event.
const selectOperations = `select e.data, e.raw, o.last_seq from operations o join operation_events e on e.seq = o.last_seq`

// Position implements app.View.
func (v View) Position(ctx context.Context) (uint64, error) {
	var seq int64
	if err := v.Pool.QueryRow(ctx, `select seq from projection where name = 'operations'`).Scan(&seq); err != nil {
		return 0, fmt.Errorf("read the position: %w", err)
	}
	return uint64(seq), nil
}

// Reset implements app.View.
func (v View) Reset(ctx context.Context, first uint64) (done bool, err error) {
	err = pgx.BeginFunc(ctx, v.Pool, func(tx pgx.Tx) error {
		// The writer locks the same row first, so nobody writes from here on.
		if _, err := tx.Exec(ctx, `select seq from projection where name = 'operations' for update`); err != nil {
			return fmt.Errorf("lock the projection: %w", err)
		}
		var lost bool
		if err := tx.QueryRow(ctx, `select exists (select from operation_events where seq < $1)`, int64(first)).Scan(&lost); err != nil {
			return fmt.Errorf("look for events that the log has lost: %w", err)
		}
		if lost {
			return nil
		}
		for _, statement := range []string{
			`truncate operations, operation_events`,
			`update projection set seq = 0 where name = 'operations'`,
			`select pg_notify(` + rebuildChannel + `, '')`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("empty the projection: %w", err)
			}
		}
		done = true
		return nil
	})
	return done && err == nil, err
}

// Operation implements app.View.
func (v View) Operation(ctx context.Context, id string) (contract.Operation, bool, error) {
	rows, err := v.Pool.Query(ctx, selectOperations+` where o.id = $1`, id)
	if err != nil {
		return contract.Operation{}, false, fmt.Errorf("read operation: %w", err)
	}
	op, err := pgx.CollectExactlyOneRow(rows, operationOf)
	if errors.Is(err, pgx.ErrNoRows) {
		return contract.Operation{}, false, nil
	}
	if err != nil {
		return contract.Operation{}, false, fmt.Errorf("read operation: %w", err)
	}
	return op, true, nil
}
