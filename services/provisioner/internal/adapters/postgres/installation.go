package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Installation is the id of this installation, the same for as long as the schema is kept.
func Installation(ctx context.Context, pool *pgxpool.Pool) (string, error) {
	var id string
	if err := pool.QueryRow(ctx, `select id from installation`).Scan(&id); err != nil {
		return "", fmt.Errorf("read the id of this installation: %w", err)
	}
	return id, nil
}
