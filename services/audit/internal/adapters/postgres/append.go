package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

// Append implements app.View. A commit that a crash of the server loses takes
// the position with it and is made again from the log, so none waits for the disk.
func (v View) Append(ctx context.Context, after uint64, events []app.Event, ids []string, fold func(map[string]contract.Operation) app.Folded) error {
	if len(events) == 0 {
		return nil
	}
	last := events[len(events)-1].Seq
	return pgx.BeginFunc(ctx, v.Pool, func(tx pgx.Tx) error {
		if err := claim(ctx, tx, after, last); err != nil {
			return err
		}
		now, err := current(ctx, tx, ids)
		if err != nil {
			return err
		}
		folded := fold(now)
		if err := insertEvents(ctx, tx, events, folded.Legal); err != nil {
			return err
		}
		if err := upsertOperations(ctx, tx, folded.Changed); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update projection set seq = $1 where name = 'operations'`, int64(last)); err != nil {
			return fmt.Errorf("move the position to %d: %w", last, err)
		}
		return nil
	})
}

// claim locks the position and checks that the batch follows it. A plan that is good for
// lists of any length is a bad one for a few of very many operations.
func claim(ctx context.Context, tx pgx.Tx, after, last uint64) error {
	const statement = `select seq, set_config('synchronous_commit', 'off', true) || set_config('plan_cache_mode', 'force_custom_plan', true)
		from projection where name = 'operations' for update`
	var seq int64
	var mode string
	if err := tx.QueryRow(ctx, statement).Scan(&seq, &mode); err != nil {
		return fmt.Errorf("lock the position: %w", err)
	}
	if uint64(seq) != after || last <= after {
		return fmt.Errorf("%w: it stands at %d, the batch goes from %d to %d", app.ErrMoved, seq, after, last)
	}
	return nil
}

// current reads what contract.Fold looks at, which is less than the operation.
func current(ctx context.Context, tx pgx.Tx, ids []string) (map[string]contract.Operation, error) {
	now := map[string]contract.Operation{}
	if len(ids) == 0 {
		return now, nil
	}
	rows, err := tx.Query(ctx, `select id, kind, state, rev, attempt, cancel_requested, held from operations where id = any($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read operations: %w", err)
	}
	var op contract.Operation
	_, err = pgx.ForEachRow(rows, []any{&op.ID, &op.Kind, &op.State, &op.Rev, &op.Attempt, &op.CancelRequested, &op.Held}, func() error {
		now[op.ID] = op
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read operations: %w", err)
	}
	return now, nil
}

func insertEvents(ctx context.Context, tx pgx.Tx, events []app.Event, legal []bool) error {
	columns := []string{
		"seq", "event_id", "entity", "entity_id", "type", "project", "actor", "time", "legal", "data", "raw", "headers",
	}
	rows := pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		e := events[i]
		headers, err := json.Marshal(e.Headers)
		if err != nil {
			return nil, fmt.Errorf("encode headers of event %d: %w", e.Seq, err)
		}
		data, raw := json.RawMessage(e.Data), []byte(nil)
		if !storable(e) {
			data, raw = nil, append([]byte{}, e.Data...) // never nil, so that it is not null
		}
		return []any{
			int64(e.Seq), text(e.ID), text(e.Entity), text(e.Key), text(e.Type), text(e.Project), text(e.Actor),
			e.Time, legal[i], data, raw, json.RawMessage(headers),
		}, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"operation_events"}, columns, rows); err != nil {
		return fmt.Errorf("store events %d to %d: %w", events[0].Seq, events[len(events)-1].Seq, err)
	}
	return nil
}

const upsert = `
insert into operations (id, kind, project, state, rev, attempt, cancel_requested, held, actor, created_at, finished_at, last_seq)
select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::boolean[], $8::boolean[],
	$9::text[], $10::timestamptz[], $11::timestamptz[], $12::bigint[])
on conflict (id) do update set
	kind = excluded.kind, project = excluded.project, state = excluded.state, rev = excluded.rev,
	attempt = excluded.attempt, cancel_requested = excluded.cancel_requested, held = excluded.held, actor = excluded.actor,
	created_at = excluded.created_at, finished_at = excluded.finished_at, last_seq = excluded.last_seq
where operations.last_seq < excluded.last_seq`

func upsertOperations(ctx context.Context, tx pgx.Tx, changed []contract.Operation) error {
	if len(changed) == 0 {
		return nil
	}
	n := len(changed)
	ids, kinds, projects, states, actors := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	revs, attempts, seqs := make([]int, n), make([]int, n), make([]int64, n)
	cancels, held := make([]bool, n), make([]bool, n)
	created, finished := make([]time.Time, n), make([]*time.Time, n)
	for i, c := range changed {
		ids[i], kinds[i], projects[i], states[i], actors[i] = c.ID, text(c.Kind), text(c.Project), string(c.State), text(c.Actor)
		revs[i], attempts[i], seqs[i] = c.Rev, c.Attempt, int64(c.Seq)
		cancels[i], held[i] = c.CancelRequested, c.Held
		created[i], finished[i] = c.CreatedAt, c.FinishedAt
	}
	_, err := tx.Exec(ctx, upsert, ids, kinds, projects, states, revs, attempts, cancels, held, actors, created, finished, seqs)
	if err != nil {
		return fmt.Errorf("store %d operations: %w", n, err)
	}
	return nil
}
