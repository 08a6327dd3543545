package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Position is how far a projection of the log has come: the sequence of the last
// event that it holds, 0 where there is none. The schema keeps it in its table
// positions (projection text primary key, seq bigint).
func Position(ctx context.Context, pool *pgxpool.Pool, projection string) (uint64, error) {
	var seq uint64
	err := pool.QueryRow(ctx, `select seq from positions where projection = $1`, projection).Scan(&seq)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("position of %s: %w", projection, err)
	}
	return seq, nil
}

// Advance sets a position together with what a batch stores; it never goes back.
func Advance(batch *pgx.Batch, projection string, seq uint64) {
	batch.Queue(`
		insert into positions (projection, seq) values ($1, $2)
		on conflict (projection) do update set seq = greatest(positions.seq, excluded.seq)`, projection, seq)
}
