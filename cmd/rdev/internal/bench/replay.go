package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// fillConfig is a log to fill.
type fillConfig struct {
	URL        string
	Operations int // of three events each
}

// wave is how many operations live at the same time in the log that fill writes.
const wave = 1000

// fill writes the lives of operations, event by event, guarded as the bus
// guards them. It is the only writer, so it knows every sequence beforehand.
func fill(ctx context.Context, cfg fillConfig, say announce) error {
	nc, err := nats.Connect(cfg.URL)
	if err != nil {
		return err
	}
	defer nc.Close()
	var refused error
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { refused = err }))
	if err != nil {
		return err
	}
	var seq uint64
	append1 := func(op *contract.Operation, change contract.Change) error {
		prev := op
		if op.ID == "" {
			prev = nil
		}
		next, err := contract.Next(prev, change)
		if err != nil {
			return err
		}
		m, err := eventMessage(next, change.Type(), op.Seq)
		if err != nil {
			return err
		}
		if _, err := js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
		seq++
		*op, op.Seq = next, seq
		return nil
	}
	for done := 0; done < cfg.Operations; done += wave {
		ops := make([]contract.Operation, min(wave, cfg.Operations-done))
		for _, step := range lifeOf(done) {
			for i := range ops {
				if err := append1(&ops[i], step(i)); err != nil {
					return err
				}
			}
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	if refused != nil {
		return refused
	}
	return say(seq)
}

// lifeOf is what happens to the operations of a wave, step by step.
func lifeOf(first int) []func(i int) contract.Change {
	at := time.Now().UTC()
	code := 0
	return []func(int) contract.Change{
		func(i int) contract.Change {
			project := "project-" + strconv.Itoa((first+i)%1000)
			return contract.OperationPending{Operation: contract.Operation{
				ID: uuid.Must(uuid.NewV7()).String(), Kind: contract.KindShell, Project: project, Actor: "key:bench",
				CreatedAt: at, Lane: contract.PodLane(project), RequestHash: "0123456789abcdef0123456789abcdef",
				Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"make", "test"}}},
			}}
		},
		func(int) contract.Change {
			return contract.OperationRunning{Attempt: 1, Executor: "executor-1", At: at}
		},
		func(int) contract.Change {
			return contract.OperationCompleted{Attempt: 1, ExitCode: &code, At: at}
		},
	}
}

// firstEvent is that of the nth operation, from 0.
func firstEvent(n int) (*nats.Msg, error) {
	change := lifeOf(0)[0](n)
	op, err := contract.Next(nil, change)
	if err != nil {
		return nil, err
	}
	return eventMessage(op, change.Type(), 0)
}

func eventMessage(op contract.Operation, eventType string, after uint64) (*nats.Msg, error) {
	body, err := json.Marshal(op)
	if err != nil {
		return nil, err
	}
	id := uuid.NewString()
	m := nats.NewMsg(contract.AppendSubject(contract.EntityOperation, eventType, op.ID))
	m.Data = body
	m.Header = nats.Header{
		"Nats-Msg-Id":                                 {id},
		"Nats-Expected-Last-Subject-Sequence":         {strconv.FormatUint(after, 10)},
		"Nats-Expected-Last-Subject-Sequence-Subject": {contract.EventFilter(contract.EntityOperation, op.ID)},
		contract.HeaderEventID:                        {id},
		contract.HeaderSpecVersion:                    {"1.0"},
		contract.HeaderType:                           {contract.TypePrefix + contract.EntityOperation + "." + eventType + contract.TypeSuffix},
		contract.HeaderSource:                         {"/rdev/bench/1"},
		contract.HeaderSubject:                        {op.ID},
		contract.HeaderTime:                           {time.Now().UTC().Format(time.RFC3339Nano)},
		contract.HeaderContentType:                    {"application/json"},
		contract.HeaderActor:                          {op.Actor},
		contract.HeaderProject:                        {op.Project},
	}
	return m, nil
}

// replayMark is how long a million events may take.
const replayMark = 40.0

// measureReplay: the audit service reads a whole log into an empty database.
// It is done once: what it takes is long enough to be its own average.
func measureReplay(ctx context.Context, s settings, r *result) (err error) {
	dir, err := os.MkdirTemp("", "rdev-bench-")
	if err != nil {
		return err
	}
	var running []*process
	defer func() {
		for _, p := range slices.Backward(running) {
			err = errors.Join(err, p.stop())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	// Unsynced, for the time that filling takes: a replay only reads.
	server, natsURL, err := serve[string](ctx, "nats", natsConfig{Dir: filepath.Join(dir, "nats"), Unsynced: true, Contract: true})
	if err != nil {
		return err
	}
	running = append(running, server)
	database, databaseURL, err := startDatabase(ctx, dir)
	if err != nil {
		return err
	}
	running = append(running, database)
	begin := time.Now()
	last, _, err := ask[uint64](ctx, "fill", fillConfig{URL: natsURL, Operations: (s.events + 2) / 3})
	if err != nil {
		return err
	}
	r.add("filling the log", "events/s", float64(last)/time.Since(begin).Seconds())

	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	cpu := treeCPU(database.pid(), server.pid())
	begin = time.Now()
	reader, _, err := serve[string](ctx, "audit", auditConfig{NATS: natsURL, Database: databaseURL})
	if err != nil {
		return err
	}
	running = append(running, reader)
	recording, err := record(ctx, s, r.Metric, reader.pid())
	if err != nil {
		return err
	}
	reached, err := awaitPosition(ctx, conn, last)
	if err != nil {
		return errors.Join(err, recording())
	}
	seconds := time.Since(begin).Seconds()
	own := treeCPU(reader.pid())
	peak, err := memory(reader.pid(), "VmHWM")
	if err := errors.Join(err, recording()); err != nil {
		return err
	}
	r.add("rdev, replay", "events/s", float64(reached)/seconds)
	r.add("rdev, time of the replay", "s", seconds)
	r.add("rdev, CPU of audit per million events", "s", own*1e6/float64(reached))
	r.add("rdev, CPU of PostgreSQL and NATS per million events", "s", (treeCPU(database.pid(), server.pid())-cpu)*1e6/float64(reached))
	r.add("rdev, peak memory of audit", "MiB", peak/(1<<20))
	r.mark("rdev, replay of a million events", "s", seconds*1e6/float64(reached), replayMark)
	if reached < 1e6 {
		r.Notes = append(r.Notes, fmt.Sprintf("the seconds of a million are those of %d events, multiplied", reached))
	}
	if reached < last {
		r.Notes = append(r.Notes, fmt.Sprintf("the replay was ended after %d of %d events", reached, last))
		return compareCopy(ctx, s, r, conn, seconds, float64(reached))
	}
	return errors.Join(checkReplay(ctx, conn, last), compareCopy(ctx, s, r, conn, seconds, float64(reached)))
}

// patience bounds a replay: a slow one is known by its rate just as well.
const patience = 2 * time.Minute

// awaitPosition waits until the projection has reached the last event, or for
// as long as patience lasts, and tells how far it came.
func awaitPosition(ctx context.Context, conn *pgx.Conn, last uint64) (reached uint64, err error) {
	err = eventually(ctx, patience, 20*time.Millisecond, func() error {
		var seq int64
		if err := conn.QueryRow(ctx, "select seq from audit.projection where name = 'operations'").Scan(&seq); err != nil {
			return err
		}
		if reached = uint64(seq); reached < last {
			return fmt.Errorf("the projection stands at %d of %d", seq, last)
		}
		return nil
	})
	if reached > 0 && ctx.Err() == nil {
		return reached, nil
	}
	return reached, err
}

// checkReplay sees to it that what was fast was also right.
func checkReplay(ctx context.Context, conn *pgx.Conn, last uint64) error {
	var events, illegal, completed uint64
	err := conn.QueryRow(ctx, `select (select count(*) from audit.operation_events), (select count(*) from audit.operation_events where not legal),
		(select count(*) from audit.operations where state = 'completed')`).Scan(&events, &illegal, &completed)
	if err == nil && (events != last || illegal != 0 || completed != last/3) {
		err = fmt.Errorf("the replay of %d events made %d events, %d of them illegal, and %d completed operations", last, events, illegal, completed)
	}
	return err
}
