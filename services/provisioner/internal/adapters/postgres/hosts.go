package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Hosts implements app.Hosts in the table hosts.
type Hosts struct{ Pool *pgxpool.Pool }

// Owner implements app.Hosts.
func (h Hosts) Owner(ctx context.Context, host string) (string, error) {
	var owner string
	err := h.Pool.QueryRow(ctx, `select project from hosts where host = $1`, host).Scan(&owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read whose host %s is: %w", host, err)
	}
	return owner, nil
}

// Claim implements app.Hosts. Of two at once one comes to the row first.
func (h Hosts) Claim(ctx context.Context, slug, host string) (string, error) {
	var owner string
	err := h.Pool.QueryRow(ctx, `insert into hosts (host, project) values ($1, $2)
		on conflict (host) do update set host = excluded.host returning project`, host, slug).Scan(&owner)
	if err != nil {
		return "", fmt.Errorf("claim host %s: %w", host, err)
	}
	return owner, nil
}

// Free implements app.Hosts.
func (h Hosts) Free(ctx context.Context, slug, host string) error {
	if _, err := h.Pool.Exec(ctx, `delete from hosts where host = $1 and project = $2`, host, slug); err != nil {
		return fmt.Errorf("free host %s: %w", host, err)
	}
	return nil
}
