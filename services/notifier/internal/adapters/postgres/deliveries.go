package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

// Deliveries implements app.Deliveries.
type Deliveries struct{ Pool *pgxpool.Pool }

// Plan implements app.Deliveries. It does nothing where the endpoint is gone.
func (p Deliveries) Plan(ctx context.Context, endpoint string, event app.Event) error {
	_, err := p.Pool.Exec(ctx, `
		insert into deliveries (endpoint, event_id, seq, type, prev_seq)
		select id, $2, $3, $4, coalesce((select max(d.seq) from deliveries d where d.endpoint = id and d.seq < $3), 0)
		from endpoints where id = $1
		on conflict do nothing`, endpoint, event.ID, event.Seq, event.Type)
	if err != nil {
		return fmt.Errorf("insert delivery: %w", err)
	}
	return nil
}

// Find implements app.Deliveries.
func (p Deliveries) Find(ctx context.Context, endpoint, event string) (app.Planned, error) {
	var d app.Planned
	err := p.Pool.QueryRow(ctx, `
		select e.url, e.secret, d.status, jsonb_array_length(d.attempts), d.prev_seq
		from deliveries d join endpoints e on e.id = d.endpoint
		where d.endpoint = $1 and d.event_id = $2`, endpoint, event).
		Scan(&d.URL, &d.Secret, &d.Status, &d.Attempts, &d.PrevSeq)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, contract.ErrNotFound
	}
	if err != nil {
		return d, fmt.Errorf("query delivery: %w", err)
	}
	return d, nil
}

// Record implements app.Deliveries. What was delivered stays delivered.
func (p Deliveries) Record(ctx context.Context, endpoint, event string, attempt contract.DeliveryAttempt, status contract.DeliveryStatus, next *time.Time) error {
	_, err := p.Pool.Exec(ctx, `
		update deliveries set
			attempts = attempts || jsonb_build_array($3::jsonb),
			status = case when status = 'delivered' then status else $4 end,
			next_attempt_at = case when status = 'delivered' then null else $5::timestamptz end
		where endpoint = $1 and event_id = $2`, endpoint, event, attempt, status, next)
	if err != nil {
		return fmt.Errorf("update delivery: %w", err)
	}
	return nil
}

// ListOf implements app.Deliveries.
func (p Deliveries) ListOf(ctx context.Context, endpoint string, before uint64, limit int) ([]contract.Delivery, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := p.Pool.Query(ctx, `
		select event_id, event_id, seq, type, status, attempts, next_attempt_at from deliveries
		where endpoint = $1 and seq < $2
		order by seq desc limit $3`, endpoint, before, limit)
	if err != nil {
		return nil, fmt.Errorf("query deliveries: %w", err)
	}
	deliveries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[contract.Delivery])
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return deliveries, nil
}
