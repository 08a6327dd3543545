package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// compareCopy sets a replay beside the least that PostgreSQL can be asked for:
// the same rows, copied into a table with the same indexes in one transaction
// for 5,000 of them.
func compareCopy(ctx context.Context, s settings, r *result, conn *pgx.Conn, replay, events float64) error {
	const batch = 5000
	rows := min(int(events), 100_000) / batch * batch
	for range s.reps {
		if _, err := conn.Exec(ctx, `drop table if exists raw_events; create table raw_events (like audit.operation_events including indexes)`); err != nil {
			return err
		}
		var seconds float64
		for from := 0; from < rows; from += batch {
			values, err := readEvents(ctx, conn, from, batch)
			if err != nil {
				return err
			}
			begin := time.Now()
			if _, err := conn.CopyFrom(ctx, pgx.Identifier{"raw_events"}, eventColumns(), pgx.CopyFromRows(values)); err != nil {
				return err
			}
			seconds += time.Since(begin).Seconds()
		}
		r.add("raw COPY of the events", "events/s", float64(rows)/seconds)
	}
	r.mark("raw COPY / rdev, replay", "times", r.of("raw COPY of the events")/(events/replay), 0)
	return nil
}

func eventColumns() []string {
	return []string{"seq", "event_id", "entity", "entity_id", "type", "project", "actor", "time", "legal", "data", "raw", "headers"}
}

func readEvents(ctx context.Context, conn *pgx.Conn, from, count int) ([][]any, error) {
	rows, err := conn.Query(ctx, `select seq, event_id, entity, entity_id, type, project, actor, time, legal, data::text, raw, headers::text
		from audit.operation_events where seq > $1 order by seq limit $2`, from, count)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
}

// record records where a process spends its time with perf, where that was
// asked for, until the function that it returns is called.
func record(ctx context.Context, s settings, name string, pid int) (stop func() error, err error) {
	if s.profile == "" {
		return func() error { return nil }, nil
	}
	file := filepath.Join(s.profile, name+".perf")
	cmd := exec.CommandContext(ctx, "perf", "record", "-q", "-F", "499", "-g", "-o", file, "-p", strconv.Itoa(pid))
	cmd.Stdout, cmd.Stderr = io.Discard, os.Stderr
	if err := errors.Join(os.MkdirAll(s.profile, 0o755), cmd.Start()); err != nil {
		return nil, fmt.Errorf("perf: %w", err)
	}
	return func() error {
		err := cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // it ends by the signal
		return err
	}, nil
}
