package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
)

// Deliveries implements app.Deliveries.
type Deliveries struct{ Pool *pgxpool.Pool }

// Record implements app.Deliveries. A commit that a crash of the server loses takes
// the cursors with it: what it held is sent again, so none waits for the disk.
func (p Deliveries) Record(ctx context.Context, results []app.Result) error {
	return pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`set local synchronous_commit = off`)
		if slices.ContainsFunc(results, func(r app.Result) bool { return r.Disabled != "" }) {
			// As whoever else changes an endpoint: its number first, and then its row.
			batch.Queue(`select from endpoint_changes for update`)
		}
		if err := errors.Join(queueDeliveries(batch, results), queueRedeliveries(batch, results)); err != nil {
			return err
		}
		queueEndpoints(batch, results)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("record %d attempts: %w", len(results), err)
		}
		return nil
	})
}

// rows are the columns of deliveries, those of one delivery in one row.
type rows struct {
	index                              map[rowKey]int
	endpoints, events, types, statuses []string
	seqs, prevs                        []int64
	attempts                           [][]contract.DeliveryAttempt
	next                               []*time.Time
}

type rowKey struct {
	endpoint string
	seq      uint64
}

func rowsOf(results []app.Result, redeliveries bool) *rows {
	all := &rows{index: make(map[rowKey]int, len(results))}
	for _, r := range results {
		if r.Redelivery != redeliveries {
			continue
		}
		key := rowKey{r.Endpoint, r.Event.Seq}
		at, ok := all.index[key]
		if !ok {
			at = len(all.endpoints)
			all.index[key] = at
			all.endpoints, all.events, all.types = append(all.endpoints, r.Endpoint), append(all.events, r.Event.ID), append(all.types, r.Event.Type)
			all.seqs, all.prevs = append(all.seqs, int64(r.Event.Seq)), append(all.prevs, int64(r.PrevSeq))
			all.statuses, all.attempts, all.next = append(all.statuses, ""), append(all.attempts, nil), append(all.next, nil)
		}
		all.attempts[at], all.statuses[at] = append(all.attempts[at], r.Attempt), string(r.Status)
		all.next[at] = nil
		if r.Status == contract.DeliveryPending {
			all.next[at] = r.NextAttemptAt
		}
	}
	return all
}

// documents are the attempts of each row, as JSON.
func (r *rows) documents() ([]string, error) {
	documents := make([]string, 0, len(r.attempts))
	for _, attempts := range r.attempts {
		text, err := json.Marshal(attempts)
		if err != nil {
			return nil, fmt.Errorf("encode attempts: %w", err)
		}
		// What PostgreSQL takes for text has no NUL.
		documents = append(documents, strings.ReplaceAll(string(text), `\u0000`, ` `))
	}
	return documents, nil
}

// kept is how many attempts of a delivery are kept, the latest.
const kept = `20`

// latest is the attempts of a delivery d with those of r, as many as are kept.
const latest = `(select jsonb_agg(a order by n) from (
	select a, n from jsonb_array_elements(d.attempts || %s) with ordinality as every (a, n) order by n desc limit ` + kept + `) as last)`

func queueDeliveries(batch *pgx.Batch, results []app.Result) error {
	r := rowsOf(results, false)
	documents, err := r.documents()
	if err != nil || len(documents) == 0 {
		return err
	}
	batch.Queue(`
		insert into deliveries as d (endpoint, event_id, seq, prev_seq, type, status, attempts, next_attempt_at)
		select r.endpoint, r.event_id, r.seq, r.prev_seq, r.type, r.status, r.attempts::jsonb, r.next
		from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
			as r (endpoint, event_id, seq, prev_seq, type, status, attempts, next)
		where exists (select from endpoints e where e.id = r.endpoint)
		on conflict (endpoint, seq) do update set attempts = `+fmt.Sprintf(latest, "excluded.attempts")+`,
			prev_seq = excluded.prev_seq, status = excluded.status, next_attempt_at = excluded.next_attempt_at, at = now()`,
		r.endpoints, r.events, r.seqs, r.prevs, r.types, r.statuses, documents, r.next)
	return nil
}

// queueRedeliveries stores attempts that were made again: one that failed leaves its
// delivery what it was.
func queueRedeliveries(batch *pgx.Batch, results []app.Result) error {
	r := rowsOf(results, true)
	documents, err := r.documents()
	if err != nil || len(documents) == 0 {
		return err
	}
	batch.Queue(`
		update deliveries d set attempts = `+fmt.Sprintf(latest, "r.attempts::jsonb")+`, at = now(),
			status = coalesce(nullif(r.status, ''), d.status), next_attempt_at = case when r.status = '' then d.next_attempt_at end
		from unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) as r (endpoint, seq, status, attempts)
		where d.endpoint = r.endpoint and d.seq = r.seq`, r.endpoints, r.seqs, r.statuses, documents)
	batch.Queue(`delete from redeliveries d using unnest($1::text[], $2::bigint[]) as r (endpoint, seq)
		where d.endpoint = r.endpoint and d.seq = r.seq`, r.endpoints, r.seqs)
	return nil
}

// queueEndpoints moves the endpoints on to where their last result leaves them.
func queueEndpoints(batch *pgx.Batch, results []app.Result) {
	last := map[string]app.Result{}
	for _, r := range results {
		if !r.Redelivery {
			last[r.Endpoint] = r
		}
	}
	var ids, problems, disabled []string
	var epochs, failures []int32
	var cursors, sent []int64
	var since, next []*time.Time
	for id, r := range last {
		ids, epochs, cursors, sent = append(ids, id), append(epochs, int32(r.Epoch)), append(cursors, int64(r.Cursor)), append(sent, int64(r.Sent))
		failures, since, next = append(failures, int32(r.Failures)), append(since, r.FailingSince), append(next, r.NextAttemptAt)
		problems, disabled = append(problems, r.Attempt.Error), append(disabled, r.Disabled)
	}
	if len(ids) == 0 {
		return
	}
	batch.Queue(`
		update endpoints e set cursor = greatest(e.cursor, r.cursor), prev_seq = r.sent, failures = r.failures, failing_since = r.since,
			next_attempt_at = r.next, last_error = r.error
		from unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::integer[], $6::timestamptz[], $7::timestamptz[], $8::text[])
			as r (id, epoch, cursor, sent, failures, since, next, error)
		where e.id = r.id and e.epoch = r.epoch`, ids, epochs, cursors, sent, failures, since, next, problems)
	for i, reason := range disabled {
		if reason == "" {
			continue
		}
		batch.Queue(`with change as (`+nextChange+`)
			update endpoints set enabled = false, disabled_reason = $3, rev = rev + 1, change = $4, updated_at = now(), change_seq = change.seq
			from change where id = $1 and epoch = $2 and enabled and not deleted`, ids[i], epochs[i], reason, contract.TypeWebhookDisabled)
	}
}

// Mark implements app.Deliveries.
func (p Deliveries) Mark(ctx context.Context, marks []app.Mark) error {
	var ids []string
	var epochs []int32
	var cursors []int64
	for _, m := range marks {
		ids, epochs, cursors = append(ids, m.Endpoint), append(epochs, int32(m.Epoch)), append(cursors, int64(m.Cursor))
	}
	_, err := p.Pool.Exec(ctx, `
		update endpoints e set cursor = greatest(e.cursor, r.cursor)
		from unnest($1::text[], $2::integer[], $3::bigint[]) as r (id, epoch, cursor)
		where e.id = r.id and e.epoch = r.epoch`, ids, epochs, cursors)
	if err != nil {
		return fmt.Errorf("move %d cursors: %w", len(marks), err)
	}
	return nil
}

// meant is the condition that a filter is; its arguments are those of meantBy.
func meant(f app.DeliveryFilter) string {
	condition := `endpoint = $1 and ($2 = '' or status = $2) and ($3 = '' or type = $3) and seq >= $4 and seq <= $5`
	if f.Status != "" && f.Status != contract.DeliveryDelivered {
		condition += ` and status <> 'delivered'` // few are, and have an index of their own
	}
	return condition
}

func meantBy(f app.DeliveryFilter) []any {
	to := int64(math.MaxInt64)
	if f.ToSeq > 0 {
		to = int64(min(f.ToSeq, math.MaxInt64))
	}
	limit := f.Limit
	if limit == 0 {
		limit = math.MaxInt32
	}
	return []any{f.Endpoint, f.Status, f.Type, int64(min(f.FromSeq, math.MaxInt64)), to, limit}
}

// ListOf implements app.Deliveries.
func (p Deliveries) ListOf(ctx context.Context, filter app.DeliveryFilter) ([]contract.Delivery, error) {
	rows, err := p.Pool.Query(ctx, `
		select seq::text as id, event_id, seq, type, status, attempts, next_attempt_at from deliveries
		where `+meant(filter)+` order by seq desc limit $6`, meantBy(filter)...)
	if err != nil {
		return nil, fmt.Errorf("query deliveries: %w", err)
	}
	deliveries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[contract.Delivery])
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return deliveries, nil
}

// Redeliver implements app.Deliveries.
func (p Deliveries) Redeliver(ctx context.Context, filter app.DeliveryFilter) (int, error) {
	tag, err := p.Pool.Exec(ctx, `
		insert into redeliveries (endpoint, seq)
		select endpoint, seq from deliveries where `+meant(filter)+` order by seq limit $6
		on conflict (endpoint, seq) do update set seq = excluded.seq`, meantBy(filter)...)
	if err != nil {
		return 0, fmt.Errorf("insert redeliveries: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// Redeliveries implements app.Deliveries.
func (p Deliveries) Redeliveries(ctx context.Context, endpoint string, limit int) ([]app.Redelivery, error) {
	rows, err := p.Pool.Query(ctx, `
		select event_id, seq, prev_seq from redeliveries join deliveries using (endpoint, seq)
		where endpoint = $1 order by seq limit $2`, endpoint, limit)
	if err != nil {
		return nil, fmt.Errorf("query redeliveries: %w", err)
	}
	wanted, err := pgx.CollectRows(rows, pgx.RowToStructByPos[app.Redelivery])
	if err != nil {
		return nil, fmt.Errorf("read redeliveries: %w", err)
	}
	return wanted, nil
}

// pruned is how many deliveries are forgotten at a time.
const pruned = 5000

// Prune implements app.Deliveries.
func (p Deliveries) Prune(ctx context.Context, before time.Time) (all int, _ error) {
	for {
		tag, err := p.Pool.Exec(ctx, `
			delete from deliveries where ctid = any(array(select ctid from deliveries where at < $1 limit $2))`, before, pruned)
		if err != nil {
			return all, fmt.Errorf("forget deliveries: %w", err)
		}
		all += int(tag.RowsAffected())
		if tag.RowsAffected() < pruned {
			return all, nil
		}
	}
}
