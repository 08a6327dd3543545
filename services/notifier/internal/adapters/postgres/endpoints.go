// Package postgres keeps endpoints and deliveries in PostgreSQL.
package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

// Endpoints implements app.Endpoints.
type Endpoints struct{ Pool *pgxpool.Pool }

const endpointColumns = `id, coalesce(name, ''), url, events, projects, description, headers, rate, retry_client_errors,
	enabled, disabled_reason, created_at, updated_at, rev, cursor, failures, failing_since, next_attempt_at, last_error,
	secret, old_secret, old_secret_until, rotated_by, enabled_at, prev_seq, epoch, change_seq, deleted, change,
	exists (select from redeliveries r where r.endpoint = endpoints.id)`

func scanEndpoint(row pgx.CollectableRow) (app.Endpoint, error) {
	var e app.Endpoint
	w, h := &e.Webhook, &e.Webhook.Health
	err := row.Scan(&w.ID, &w.Name, &w.URL, &w.Events, &w.Projects, &w.Description, &w.Headers, &w.Rate, &w.RetryClientErrors,
		&w.Enabled, &w.DisabledReason, &w.CreatedAt, &w.UpdatedAt, &w.Rev, &h.Seq, &h.Failures, &h.FailingSince, &h.NextAttemptAt, &h.LastError,
		&e.Secret, &e.OldSecret, &w.OldSecretUntil, &e.RotatedBy, &e.EnabledAt, &e.PrevSeq, &e.Epoch, &e.ChangeSeq, &e.Deleted, &e.Change, &e.Again)
	return e, err
}

// nextChange is the number of a change of an endpoint. Changes commit in the order of
// their numbers, for each waits for the one before: whoever reads them by number misses
// none.
const nextChange = `update endpoint_changes set seq = seq + 1 returning seq`

func number(ctx context.Context, tx pgx.Tx) (change int64, err error) {
	if err := tx.QueryRow(ctx, nextChange).Scan(&change); err != nil {
		return 0, fmt.Errorf("wait for other changes: %w", err)
	}
	return change, nil
}

// Add implements app.Endpoints.
func (p Endpoints) Add(ctx context.Context, e app.Endpoint) error {
	w := e.Webhook
	return pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		change, err := number(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into endpoints (id, name, url, events, projects, description, headers, rate, retry_client_errors,
				created_at, updated_at, enabled_at, secret, cursor, change, change_seq)
			values ($1, nullif($2, ''), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
			w.ID, w.Name, w.URL, w.Events, w.Projects, w.Description, headersOf(w), w.Rate, w.RetryClientErrors,
			w.CreatedAt, w.UpdatedAt, e.EnabledAt, e.Secret, w.Health.Seq, e.Change, change)
		return taken("insert endpoint", err)
	})
}

func headersOf(w contract.Webhook) map[string]string {
	if w.Headers == nil {
		return map[string]string{}
	}
	return w.Headers
}

// taken tells ErrTaken from other errors.
func taken(what string, err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23505" {
		return app.ErrTaken
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Get implements app.Endpoints.
func (p Endpoints) Get(ctx context.Context, id string) (app.Endpoint, error) {
	return getEndpoint(ctx, p.Pool, `select `+endpointColumns+` from endpoints where id = $1 and not deleted`, id)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func getEndpoint(ctx context.Context, q querier, sql, id string) (app.Endpoint, error) {
	rows, err := q.Query(ctx, sql, id)
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

// Update implements app.Endpoints. Without a name for what is changed it is no change
// that anybody is told of.
func (p Endpoints) Update(ctx context.Context, id, what string, change func(*app.Endpoint) error) (updated app.Endpoint, err error) {
	err = pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		order, err := number(ctx, tx)
		if err != nil {
			return err
		}
		e, err := getEndpoint(ctx, tx, `select `+endpointColumns+` from endpoints where id = $1 and not deleted for update`, id)
		if err != nil {
			return err
		}
		before := e
		if err := change(&e); err != nil {
			return err
		}
		e.ChangeSeq = order
		updated, err = update(ctx, tx, before, e, what)
		return err
	})
	return updated, err
}

func update(ctx context.Context, tx pgx.Tx, before, e app.Endpoint, what string) (app.Endpoint, error) {
	w, h := e.Webhook, e.Webhook.Health
	announced := what != ""
	if !announced {
		what = before.Change
	}
	// How far it has come is the courier's to say, unless it is set back or enabled.
	moved := e.Epoch != before.Epoch || w.Enabled && !before.Webhook.Enabled
	rows, err := tx.Query(ctx, `
		update endpoints set name = nullif($2, ''), url = $3, events = $4, projects = $5, description = $6, headers = $7, rate = $8,
			retry_client_errors = $9, enabled = $10, disabled_reason = $11, secret = $12, old_secret = $13, old_secret_until = $14,
			enabled_at = $15, deleted = $16, change = $17, epoch = $18,
			cursor = case when $18 <> epoch then $19 else cursor end, prev_seq = case when $18 <> epoch then $20 else prev_seq end,
			failures = case when $21 then $22 else failures end, failing_since = case when $21 then $23 else failing_since end,
			next_attempt_at = case when $21 then $24 else next_attempt_at end, last_error = case when $21 then $25 else last_error end,
			rev = rev + case when $26 then 1 else 0 end, updated_at = case when $26 then now() else updated_at end,
			change_seq = $27, rotated_by = $28
		where id = $1 returning `+endpointColumns,
		w.ID, w.Name, w.URL, w.Events, w.Projects, w.Description, headersOf(w), w.Rate, w.RetryClientErrors, w.Enabled, w.DisabledReason,
		e.Secret, e.OldSecret, w.OldSecretUntil, e.EnabledAt, e.Deleted, what, e.Epoch, h.Seq, e.PrevSeq,
		moved, h.Failures, h.FailingSince, h.NextAttemptAt, h.LastError, announced, e.ChangeSeq, e.RotatedBy)
	if err == nil {
		e, err = pgx.CollectExactlyOneRow(rows, scanEndpoint)
	}
	return e, taken("update endpoint", err)
}

// Count implements app.Endpoints.
func (p Endpoints) Count(ctx context.Context) (count int, err error) {
	if err := p.Pool.QueryRow(ctx, `select count(*) from endpoints where not deleted`).Scan(&count); err != nil {
		return 0, fmt.Errorf("count endpoints: %w", err)
	}
	return count, nil
}

// List implements app.Endpoints.
func (p Endpoints) List(ctx context.Context, within []string, before string, limit int) ([]app.Endpoint, error) {
	return p.query(ctx, `
		select `+endpointColumns+` from endpoints
		where not deleted and ($1 = '' or (created_at, id) < (select created_at, id from endpoints where id = $1)) and (cardinality($3::text[]) = 0 or cardinality(projects) > 0
			and not exists (select from unnest(projects) as of_it where not of_it like any($3)))
		order by created_at desc, id desc limit $2`, before, limit, database.Like(within))
}

// Changed implements app.Endpoints.
func (p Endpoints) Changed(ctx context.Context, after int64, limit int) ([]app.Endpoint, error) {
	return p.query(ctx, `select `+endpointColumns+` from endpoints where change_seq > $1 order by change_seq limit $2`, after, limit)
}

// Unannounced implements app.Endpoints.
func (p Endpoints) Unannounced(ctx context.Context, limit int) ([]app.Endpoint, error) {
	return p.query(ctx, `select `+endpointColumns+` from endpoints where announced_rev < rev order by id limit $1`, limit)
}

// Announced implements app.Endpoints.
func (p Endpoints) Announced(ctx context.Context, id string, rev int) error {
	_, err := p.Pool.Exec(ctx, `update endpoints set announced_rev = greatest(announced_rev, $2) where id = $1`, id, rev)
	if err != nil {
		return fmt.Errorf("note what the log knows: %w", err)
	}
	// Whoever reads changes has had a while to see that it is gone.
	_, err = p.Pool.Exec(ctx, `
		with gone as (delete from endpoints where deleted and announced_rev >= rev and updated_at < now() - interval '1 minute' returning id)
		delete from deliveries using gone where endpoint = gone.id`)
	if err != nil {
		return fmt.Errorf("forget deleted endpoints: %w", err)
	}
	return nil
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
