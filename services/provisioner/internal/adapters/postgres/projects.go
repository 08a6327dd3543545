// Package postgres keeps the list of projects in PostgreSQL.
package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
)

// projection is the name of the projects' row in positions.
const projection = "projects"

// Projects is the projection of the events of projects. It implements app.View
// and bus.Projection.
type Projects struct{ Pool *pgxpool.Pool }

// Position implements app.View and bus.Projection.
func (p Projects) Position(ctx context.Context) (uint64, error) {
	return database.Position(ctx, p.Pool, projection)
}

// Snapshot is a project as an event left it. Data is nil where no writer of ours
// wrote it: the position passes over it.
type Snapshot struct {
	contract.Project

	Data json.RawMessage
}

// Decode implements bus.Projection.
func (Projects) Decode(event bus.Event) Snapshot {
	s := Snapshot{Data: event.Data}
	if err := json.Unmarshal(event.Data, &s.Project); err != nil || s.Slug != event.Key {
		return Snapshot{}
	}
	s.Seq = event.Seq
	return s
}

// Apply implements bus.Projection. Events that come again change nothing.
func (p Projects) Apply(ctx context.Context, snapshots []Snapshot, last uint64) error {
	batch := &pgx.Batch{}
	for _, s := range snapshots {
		if s.Data == nil {
			continue
		}
		batch.Queue(`
			insert into projects (slug, state, template, created_at, updated_at, last_seq, doc)
			values ($1, $2, $3, $4, $5, $6, $7)
			on conflict (slug) do update set
				state = excluded.state, template = excluded.template, created_at = excluded.created_at,
				updated_at = excluded.updated_at, last_seq = excluded.last_seq, doc = excluded.doc
			where projects.last_seq < excluded.last_seq`,
			s.Slug, s.State, s.Template, s.CreatedAt, s.UpdatedAt, s.Seq, s.Data)
	}
	database.Advance(batch, projection, last)
	return pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("store projects: %w", err)
		}
		return nil
	})
}

// List implements app.View.
func (p Projects) List(ctx context.Context, within []string, after string, limit int) ([]contract.Project, error) {
	rows, err := p.Pool.Query(ctx, `
		select doc, last_seq from projects
		where state <> $1 and slug > $2 and (cardinality($4::text[]) = 0 or slug like any($4))
		order by slug limit $3`, contract.ProjectDeleted, after, limit, database.Like(within))
	if err != nil {
		return nil, fmt.Errorf("query projects: %w", err)
	}
	projects, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (contract.Project, error) {
		var project contract.Project
		var seq uint64
		err := row.Scan(&project, &seq)
		project.Seq = seq
		return project, err
	})
	if err != nil {
		return nil, fmt.Errorf("read projects: %w", err)
	}
	return projects, nil
}
