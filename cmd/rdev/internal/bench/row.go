package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// rowConfig is a POST whose row is waited for.
type rowConfig struct {
	URL, Key, Body, Database string
	Every                    time.Duration
	Count                    int
}

// awaitRows posts, and asks PostgreSQL for the row until it is there.
func awaitRows(ctx context.Context, cfg rowConfig, say announce) error {
	conn, err := pgx.Connect(ctx, cfg.Database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	client := keepAlive(1)
	ticker := time.NewTicker(cfg.Every)
	defer ticker.Stop()
	var took []float64
	for i := range cfg.Count + 3 {
		<-ticker.C
		begin := time.Now()
		op, err := postTo(ctx, client, cfg.URL, cfg.Key, json.RawMessage(cfg.Body))
		if err != nil {
			return err
		}
		for there := false; !there; {
			if err := conn.QueryRow(ctx, "select exists (select from audit.operations where id = $1)", op.ID).Scan(&there); err != nil {
				return err
			}
			if time.Since(begin) > 30*time.Second {
				return fmt.Errorf("operation %s has no row after 30 seconds", op.ID)
			}
		}
		if i >= 3 { // the first connect
			took = append(took, milliseconds(time.Since(begin)))
		}
	}
	return say(loadResult{P50: percentile(took, 0.5), P99: percentile(took, 0.99), Done: len(took)})
}

// measureRow: POST to the committed row, without other load.
func measureRow(ctx context.Context, s settings, r *result) (err error) {
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	const rate = 20
	shape := loadConfig{Rate: rate, Warm: s.hold / 8, For: s.hold}
	insert := loadConfig{Kind: "insert", URL: b.Database, Body: b.body, Rate: rate, Warm: shape.Warm, For: shape.For}
	command := b.command(loadConfig{})
	for range s.reps {
		for _, c := range []struct {
			name, role string
			cfg        any
		}{
			{"raw publish, always synced", "load", b.publish(shape)},
			{"raw POST", "load", b.rawPost(shape)},
			{"raw INSERT, committed", "load", insert},
			{"rdev", "row", rowConfig{
				URL: command.URL, Key: command.Key, Body: command.Body, Database: b.Database,
				Every: time.Second / rate, Count: int(rate * s.hold.Seconds()),
			}},
		} {
			found, _, err := ask[loadResult](ctx, c.role, c.cfg)
			if err != nil {
				return err
			}
			r.add(c.name+", p50", "ms", found.P50)
			r.add(c.name+", p99", "ms", found.P99)
		}
	}
	r.mark("rdev / (raw publish + raw POST + raw INSERT), p50", "times",
		r.of("rdev, p50")/(r.of("raw publish, always synced, p50")+r.of("raw POST, p50")+r.of("raw INSERT, committed, p50")), 0)
	r.Notes = append(r.Notes, "rdev's row is asked for over and over by its key, so its figure is that of the query more")
	return nil
}
