package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/migrations"
)

// checkAudit wants the audit's table to be the fold of the log, row for row.
func checkAudit(ctx context.Context, t *testing.T, w *world, h history) {
	t.Helper()
	testkit.Eventually(t, func() error {
		position, err := bus.Call[contract.GetProjectionPosition, contract.ProjectionPosition](
			ctx, w.conn, contract.ServiceAudit, contract.VerbProjectionPosition, contract.GetProjectionPosition{})
		if err == nil && position.ProjectedSeq < h.last {
			err = fmt.Errorf("the audit is at %d of %d", position.ProjectedSeq, h.last)
		}
		return err
	})
	pool, err := database.Open(ctx, w.database, contract.ServiceAudit, migrations.For)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	rows, err := pool.Query(ctx, `
		select o.id, o.kind, o.project, o.state, o.rev, o.attempt, o.cancel_requested, o.actor, o.created_at, o.finished_at, o.last_seq, e.data
		from operations o join operation_events e on e.seq = o.last_seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var row, doc contract.Operation
		var state string
		var seq int64
		var body []byte
		if err := rows.Scan(&row.ID, &row.Kind, &row.Project, &state, &row.Rev, &row.Attempt, &row.CancelRequested,
			&row.Actor, &row.CreatedAt, &row.FinishedAt, &seq, &body); err != nil {
			t.Fatal(err)
		}
		seen++
		row.State, row.Seq = contract.State(state), uint64(seq)
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatal(err)
		}
		want := h.operations[row.ID]
		doc.Seq = want.Seq
		if diff := cmp.Diff(want, doc); diff != "" {
			t.Errorf("row %s differs from the log (-log +row):\n%s", row.ID, diff)
		}
		if diff := cmp.Diff(columns(want), columns(row)); diff != "" {
			t.Errorf("columns of %s differ from the log (-log +row):\n%s", row.ID, diff)
		}
	}
	if err := rows.Err(); err != nil || seen != len(h.operations) {
		t.Errorf("the audit has %d operations, want %d: %v", seen, len(h.operations), err)
	}
	var illegal, all int
	if err := pool.QueryRow(ctx, `select count(*) filter (where not legal), count(*) from operation_events`).Scan(&illegal, &all); err != nil {
		t.Fatal(err)
	}
	if illegal != 0 {
		t.Errorf("the audit holds %d of %d events for illegal", illegal, all)
	}
}

// columns are what the table has beside the snapshot; times in its precision.
func columns(op contract.Operation) contract.Operation {
	c := contract.Operation{
		ID: op.ID, Kind: op.Kind, Project: op.Project, State: op.State, Rev: op.Rev, Attempt: op.Attempt,
		CancelRequested: op.CancelRequested, Actor: op.Actor, Seq: op.Seq, CreatedAt: op.CreatedAt.UTC().Truncate(time.Microsecond),
	}
	if op.FinishedAt != nil {
		at := op.FinishedAt.UTC().Truncate(time.Microsecond)
		c.FinishedAt = &at
	}
	return c
}
