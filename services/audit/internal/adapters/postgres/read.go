package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

const (
	// maxPage bounds the bodies of one page, in bytes, so that it fits in a
	// message of NATS, of 1 MiB. A single body is at most half of that.
	maxPage = 640 << 10
	// maxHistory bounds the events of one page of a history.
	maxHistory = 200
	// maxOpen bounds the operations that one round of cleaning looks at.
	maxOpen = 10_000
)

// Newest implements app.View.
func (v View) Newest(ctx context.Context, filter app.Filter) (page []contract.Operation, more bool, err error) {
	statement, args := newest(filter)
	rows, err := v.Pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, false, fmt.Errorf("query operations: %w", err)
	}
	defer rows.Close()
	page = []contract.Operation{}
	size := 0
	for rows.Next() {
		size += len(rows.RawValues()[0]) + len(rows.RawValues()[1])
		if len(page) == filter.Limit || len(page) > 0 && size > maxPage {
			return page, true, nil
		}
		op, err := operationOf(rows)
		if err != nil {
			return nil, false, fmt.Errorf("query operations: %w", err)
		}
		page = append(page, op)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("query operations: %w", err)
	}
	return page, false, nil
}

func newest(filter app.Filter) (statement string, args []any) {
	var where []string
	add := func(condition string, values ...any) {
		for _, value := range values {
			args = append(args, value)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		where = append(where, condition)
	}
	if len(filter.States) > 0 {
		add("o.state = any(?)", filter.States)
	}
	if len(filter.Within) > 0 {
		add("o.project like any(?)", database.Like(filter.Within))
	}
	if filter.Project != "" {
		add("o.project = ?", text(filter.Project))
	}
	if prefix, all := strings.CutSuffix(filter.Kind, "*"); all {
		add("starts_with(o.kind, ?)", text(prefix))
	} else if filter.Kind != "" {
		add("o.kind = ?", text(filter.Kind))
	}
	if !filter.Since.IsZero() {
		add("o.created_at >= ?", filter.Since)
	}
	if filter.After.ID != "" {
		add("(o.created_at, o.id) < (?, ?)", filter.After.CreatedAt, filter.After.ID)
	}
	statement = selectOperations
	if len(where) > 0 {
		statement += " where " + strings.Join(where, " and ")
	}
	// One more than asked for tells whether there are more.
	return statement + " order by o.created_at desc, o.id desc limit " + strconv.Itoa(filter.Limit+1), args
}

// Open implements app.View. The oldest come first; what does not fit in comes in
// a later round.
func (v View) Open(ctx context.Context, state contract.State, before time.Time) ([]contract.Operation, error) {
	const statement = selectOperations + `
		where o.state in ('pending', 'running') and o.state = $1 and o.created_at < $2 order by o.created_at, o.id limit $3`
	rows, err := v.Pool.Query(ctx, statement, state, before, maxOpen)
	if err != nil {
		return nil, fmt.Errorf("query open operations: %w", err)
	}
	open, err := pgx.CollectRows(rows, operationOf)
	if err != nil {
		return nil, fmt.Errorf("query open operations: %w", err)
	}
	return open, nil
}

// History implements app.View.
func (v View) History(ctx context.Context, id string, after uint64) (events []contract.OperationEvent, more bool, err error) {
	const statement = `select seq, type, time, actor, legal, data, raw from operation_events
		where entity = 'operation' and entity_id = $1 and seq > $2 order by seq limit $3`
	rows, err := v.Pool.Query(ctx, statement, id, int64(min(after, 1<<62)), maxHistory+1)
	if err != nil {
		return nil, false, fmt.Errorf("query events: %w", err)
	}
	defer rows.Close()
	events = []contract.OperationEvent{}
	size := 0
	for rows.Next() {
		var e contract.OperationEvent
		var seq int64
		var legal bool
		var data, raw []byte
		if err := rows.Scan(&seq, &e.Type, &e.Time, &e.Actor, &legal, &data, &raw); err != nil {
			return nil, false, fmt.Errorf("query events: %w", err)
		}
		size += len(data) + len(raw)
		if len(events) == maxHistory || len(events) > 0 && size > maxPage {
			return events, true, nil
		}
		e.Seq, e.Ignored = uint64(seq), !legal
		var op contract.Operation
		if json.Unmarshal(append(data, raw...), &op) == nil { // else it stays null, as promised
			op.Seq = e.Seq
			e.Operation = &op
		}
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, false, fmt.Errorf("query events: %w", err)
	}
	return events, false, nil
}

// operationOf reads a row of selectOperations.
func operationOf(row pgx.CollectableRow) (contract.Operation, error) {
	var data, raw []byte
	var seq int64
	var op contract.Operation
	if err := row.Scan(&data, &raw, &seq); err != nil {
		return op, err
	}
	if err := json.Unmarshal(append(data, raw...), &op); err != nil {
		return op, fmt.Errorf("operation of event %d: %w", seq, err)
	}
	op.Seq = uint64(seq)
	return op, nil
}
