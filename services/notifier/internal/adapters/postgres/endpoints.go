// Package postgres keeps endpoints and deliveries in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

// Endpoints implements app.Endpoints.
type Endpoints struct{ Pool *pgxpool.Pool }

const endpointColumns = `id, url, events, projects, description, created_at, secret, after_seq`

func scanEndpoint(row pgx.CollectableRow) (app.Endpoint, error) {
	var e app.Endpoint
	w := &e.Webhook
	err := row.Scan(&w.ID, &w.URL, &w.Events, &w.Projects, &w.Description, &w.CreatedAt, &e.Secret, &e.AfterSeq)
	return e, err
}

// Add implements app.Endpoints.
func (p Endpoints) Add(ctx context.Context, e app.Endpoint) error {
	w := e.Webhook
	_, err := p.Pool.Exec(ctx, `insert into endpoints (`+endpointColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8)`,
		w.ID, w.URL, w.Events, w.Projects, w.Description, w.CreatedAt, e.Secret, e.AfterSeq)
	if err != nil {
		return fmt.Errorf("insert endpoint: %w", err)
	}
	return nil
}

// Get implements app.Endpoints.
func (p Endpoints) Get(ctx context.Context, id string) (app.Endpoint, error) {
	rows, err := p.Pool.Query(ctx, `select `+endpointColumns+` from endpoints where id = $1`, id)
	if err != nil {
		return app.Endpoint{}, fmt.Errorf("query endpoint: %w", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEndpoint)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, contract.ErrNotFound
	}
	if err != nil {
		return e, fmt.Errorf("read endpoint: %w", err)
	}
	return e, nil
}

// All implements app.Endpoints.
func (p Endpoints) All(ctx context.Context) ([]app.Endpoint, error) {
	return p.query(ctx, `select `+endpointColumns+` from endpoints order by id`)
}

// List implements app.Endpoints.
func (p Endpoints) List(ctx context.Context, within []string, before string, limit int) ([]contract.Webhook, error) {
	endpoints, err := p.query(ctx, `
		select `+endpointColumns+` from endpoints
		where ($1 = '' or id < $1) and (cardinality($3::text[]) = 0 or cardinality(projects) > 0
			and not exists (select from unnest(projects) as of_it where not of_it like any($3)))
		order by id desc limit $2`, before, limit, database.Like(within))
	webhooks := make([]contract.Webhook, 0, len(endpoints))
	for _, e := range endpoints {
		webhooks = append(webhooks, e.Webhook)
	}
	return webhooks, err
}

func (p Endpoints) query(ctx context.Context, sql string, args ...any) ([]app.Endpoint, error) {
	rows, err := p.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("query endpoints: %w", err)
	}
	endpoints, err := pgx.CollectRows(rows, scanEndpoint)
	if err != nil {
		return nil, fmt.Errorf("read endpoints: %w", err)
	}
	return endpoints, nil
}

// Remove implements app.Endpoints; the deliveries go with it.
func (p Endpoints) Remove(ctx context.Context, id string) error {
	tag, err := p.Pool.Exec(ctx, `delete from endpoints where id = $1`, id)
	if err != nil {
		return fmt.Errorf("delete endpoint: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return contract.ErrNotFound
	}
	return nil
}
