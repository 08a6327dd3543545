package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// DataKeys implements app.DataKeys.
type DataKeys struct{ Pool *pgxpool.Pool }

const dataKeyColumns = `id, master_key, wrapped, created_at`

// Take implements app.DataKeys.
func (p DataKeys) Take(ctx context.Context, master string, limit int) (app.DataKey, error) {
	return p.one(ctx, `
		update data_keys set sealed = sealed + 1
		where sealed < $2 and id = (
			select id from data_keys where master_key = $1 and sealed < $2 order by id limit 1 for update)
		returning `+dataKeyColumns, master, limit)
}

// Add implements app.DataKeys.
func (p DataKeys) Add(ctx context.Context, key app.DataKey) error {
	_, err := p.Pool.Exec(ctx, `insert into data_keys (`+dataKeyColumns+`) values ($1, $2, $3, $4)`,
		key.ID, key.MasterKey, key.Wrapped, key.CreatedAt)
	if err != nil {
		return fmt.Errorf("insert data key: %w", err)
	}
	return nil
}

// Get implements app.DataKeys.
func (p DataKeys) Get(ctx context.Context, id string) (app.DataKey, error) {
	return p.one(ctx, `select `+dataKeyColumns+` from data_keys where id = $1`, id)
}

// Others implements app.DataKeys.
func (p DataKeys) Others(ctx context.Context, master, after string, limit int) ([]app.DataKey, error) {
	return p.all(ctx, `
		select `+dataKeyColumns+` from data_keys
		where master_key <> $1 and id > $2
		order by id limit $3`, master, after, limit)
}

// Rewrap implements app.DataKeys.
func (p DataKeys) Rewrap(ctx context.Context, old, next app.DataKey) (bool, error) {
	tag, err := p.Pool.Exec(ctx, `
		update data_keys set master_key = $4, wrapped = $5
		where id = $1 and master_key = $2 and wrapped = $3`, old.ID, old.MasterKey, old.Wrapped, next.MasterKey, next.Wrapped)
	if err != nil {
		return false, fmt.Errorf("update data key %s: %w", old.ID, err)
	}
	return tag.RowsAffected() > 0, nil
}

// Count implements app.DataKeys.
func (p DataKeys) Count(ctx context.Context, master string) (its, others int, err error) {
	err = p.Pool.QueryRow(ctx, `
		select count(*) filter (where master_key = $1), count(*) filter (where master_key <> $1) from data_keys`, master).Scan(&its, &others)
	if err != nil {
		return 0, 0, fmt.Errorf("count data keys: %w", err)
	}
	return its, others, nil
}

// OneOfEach implements app.DataKeys.
func (p DataKeys) OneOfEach(ctx context.Context) ([]app.DataKey, error) {
	return p.all(ctx, `select distinct on (master_key) `+dataKeyColumns+` from data_keys order by master_key, id`)
}

func (p DataKeys) one(ctx context.Context, sql string, args ...any) (app.DataKey, error) {
	keys, err := p.all(ctx, sql, args...)
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("data key: %w", contract.ErrNotFound)
	}
	if err != nil {
		return app.DataKey{}, err
	}
	return keys[0], nil
}

func (p DataKeys) all(ctx context.Context, sql string, args ...any) ([]app.DataKey, error) {
	rows, err := p.Pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("query data keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[app.DataKey])
	if err != nil {
		return nil, fmt.Errorf("read data keys: %w", err)
	}
	return keys, nil
}
