package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Credentials implements app.Credentials.
type Credentials struct{ Pool *pgxpool.Pool }

const (
	credentialColumns = `project, name, projects, version, created_at, updated_at, actor`
	sealedColumns     = credentialColumns + `, data_key, nonce, ciphertext`
)

func scanCredential(row pgx.CollectableRow) (contract.Credential, error) {
	var c contract.Credential
	return c, row.Scan(&c.Project, &c.Name, &c.Projects, &c.Version, &c.CreatedAt, &c.UpdatedAt, &c.Actor)
}

func scanSealed(row pgx.CollectableRow) (app.SealedCredential, error) {
	var c app.SealedCredential
	return c, row.Scan(&c.Project, &c.Name, &c.Projects, &c.Version, &c.CreatedAt, &c.UpdatedAt, &c.Actor, &c.DataKey, &c.Nonce, &c.Ciphertext)
}

// Put implements app.Credentials.
func (p Credentials) Put(ctx context.Context, project, name string, decide func(context.Context, *app.SealedCredential) (app.SealedCredential, error)) error {
	return p.alone(ctx, project, func(tx pgx.Tx) error {
		now, err := one(ctx, tx, project, name)
		if err != nil {
			return err
		}
		c, err := decide(ctx, now)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into credentials (`+sealedColumns+`)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			on conflict (project, name) do update set
				projects = excluded.projects, version = excluded.version, updated_at = excluded.updated_at, actor = excluded.actor,
				data_key = excluded.data_key, nonce = excluded.nonce, ciphertext = excluded.ciphertext`,
			c.Project, c.Name, c.Projects, c.Version, c.CreatedAt, c.UpdatedAt, c.Actor, c.DataKey, c.Nonce, c.Ciphertext)
		if err != nil {
			return fmt.Errorf("store credential: %w", err)
		}
		return nil
	})
}

// alone runs work in a transaction, the only one that adds to the credentials of a
// project or forgets them.
func (p Credentials) alone(ctx context.Context, project string, work func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended('rdev credentials of ' || $1::text, 0))`, project); err != nil {
			return fmt.Errorf("lock the credentials of %q: %w", project, err)
		}
		return work(tx)
	})
}

// one reads a credential, nil where there is none.
func one(ctx context.Context, tx pgx.Tx, project, name string) (*app.SealedCredential, error) {
	rows, err := tx.Query(ctx, `select `+sealedColumns+` from credentials where project = $1 and name = $2`, project, name)
	if err != nil {
		return nil, fmt.Errorf("query credential: %w", err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanSealed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	return &c, nil
}

// Delete implements app.Credentials.
func (p Credentials) Delete(ctx context.Context, project, name string) error {
	tag, err := p.Pool.Exec(ctx, `delete from credentials where project = $1 and name = $2`, project, name)
	if err != nil {
		return fmt.Errorf("delete credential: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return contract.ErrNotFound
	}
	return nil
}

// List implements app.Credentials.
func (p Credentials) List(ctx context.Context, project, after string, limit int) ([]contract.Credential, error) {
	rows, err := p.Pool.Query(ctx, `
		select `+credentialColumns+` from credentials
		where project = $1 and name > $2
		order by name limit $3`, project, after, limit)
	if err != nil {
		return nil, fmt.Errorf("query credentials: %w", err)
	}
	credentials, err := pgx.CollectRows(rows, scanCredential)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return credentials, nil
}

// Named implements app.Credentials.
func (p Credentials) Named(ctx context.Context, project string, names []string) ([]app.SealedCredential, error) {
	rows, err := p.Pool.Query(ctx, `
		select `+sealedColumns+` from credentials
		where project in ($1, '') and name = any ($2)`, project, names)
	if err != nil {
		return nil, fmt.Errorf("query credentials: %w", err)
	}
	credentials, err := pgx.CollectRows(rows, scanSealed)
	if err != nil {
		return nil, fmt.Errorf("read credentials: %w", err)
	}
	return credentials, nil
}

// Forget implements app.Credentials.
func (p Credentials) Forget(ctx context.Context, project string) error {
	return p.alone(ctx, project, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `delete from credentials where project = $1`, project); err != nil {
			return fmt.Errorf("delete the credentials of %s: %w", project, err)
		}
		return nil
	})
}
