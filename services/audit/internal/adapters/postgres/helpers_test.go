package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/audit/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func open(t testing.TB) postgres.View {
	t.Helper()
	return openAt(t, testkit.Postgres(t))
}

func openAt(t testing.TB, url string) postgres.View {
	t.Helper()
	pool, err := database.Open(t.Context(), url, contract.ServiceAudit, migrations.For)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return postgres.View{Pool: pool}
}

// history writes events as a log would: numbered, with whole snapshots.
type history struct {
	t      testing.TB
	random *rand.Rand
	now    map[string]contract.Operation // contract.Fold of all events so far
	events []app.Event
	legal  []bool
}

func newHistory(t testing.TB, seed uint64) *history {
	t.Helper()
	return &history{t: t, random: rand.New(rand.NewPCG(seed, seed)), now: map[string]contract.Operation{}}
}

// happens appends a change that has to be legal.
func (h *history) happens(id string, change contract.Change) {
	h.t.Helper()
	var prev *contract.Operation
	if now, ok := h.now[id]; ok {
		prev = &now
	}
	next, err := contract.Next(prev, change)
	if err != nil {
		h.t.Fatal(err)
	}
	body, err := json.Marshal(next)
	if err != nil {
		h.t.Fatal(err)
	}
	h.add(contract.EntityOperation, change.Type(), id, body)
}

// add appends whatever it is, and folds it if it can be.
func (h *history) add(entity, eventType, id string, body []byte) {
	seq := uint64(len(h.events)*2 + 1) // a log may have holes
	h.events = append(h.events, app.Event{
		Seq: seq, ID: fmt.Sprintf("event-%d", seq), Entity: entity, Type: eventType, Key: id,
		Project: "shop", Actor: "key:ci", Time: epoch.Add(time.Duration(seq) * time.Second), Data: body,
		Headers: app.Headers{Source: "/rdev/test/1", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	})
	legal := entity != contract.EntityOperation
	var snapshot contract.Operation
	if !legal && json.Unmarshal(body, &snapshot) == nil && snapshot.ID == id {
		carried := snapshot
		carried.Seq = seq
		h.events[len(h.events)-1].Operation = &carried
		var prev *contract.Operation
		if now, ok := h.now[id]; ok {
			prev = &now
		}
		if next, err := contract.Fold(prev, eventType, snapshot); err == nil {
			legal, next.Seq = true, seq
			h.now[id] = next
		}
	}
	h.legal = append(h.legal, legal)
}

// pending is the first event of a new operation.
func pending(id string, at time.Time) contract.OperationPending {
	return contract.OperationPending{Operation: contract.Operation{
		ID: id, Kind: contract.KindShell, Project: "shop", Actor: "key:ci", CreatedAt: at, Lane: contract.PodLane("shop"),
		Command:     &contract.Command{Shell: &contract.Shell{Argv: []string{"make", "test"}}, Timeout: contract.Duration(time.Hour)},
		RequestHash: "8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92",
	}}
}

// Bounds implements app.EventLog.
func (h *history) Bounds(context.Context) (first, last uint64, err error) {
	return 1, uint64(len(h.events)*2 - 1), nil
}

// Next implements app.EventLog.
func (h *history) Next(_ context.Context, after uint64) (uint64, error) {
	return after + 1 + after%2, nil
}

// lives appends n whole lives of three events each, interleaved as n lanes would.
func (h *history) lives(n int) {
	const lanes = 50
	for begin := 0; begin < n; begin += lanes {
		batch := make([]string, min(lanes, n-begin))
		for i := range batch {
			batch[i] = uuid.Must(uuid.NewV7()).String()
			h.happens(batch[i], pending(batch[i], epoch.Add(time.Duration(begin+i)*time.Millisecond)))
		}
		for _, id := range batch {
			h.happens(id, contract.OperationRunning{Attempt: 1, Executor: "executor-1", At: epoch})
		}
		for _, id := range batch {
			code := 0
			h.happens(id, contract.OperationCompleted{Attempt: 1, ExitCode: &code, At: epoch, Result: &contract.Result{Text: "done"}})
		}
	}
}

// project stores all events in batches of a size.
func (h *history) project(view postgres.View, size int) {
	h.t.Helper()
	audit := &app.App{View: view, Log: h}
	position, err := view.Position(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var batch []app.Event
	for i, e := range h.events {
		if e.Seq > position {
			batch = append(batch, e)
		}
		if len(batch) == 0 || len(batch) < size && i < len(h.events)-1 {
			continue
		}
		if _, err := audit.ProjectEvents(h.t.Context(), position, batch); err != nil {
			h.t.Fatal(err)
		}
		position, batch = batch[len(batch)-1].Seq, nil
	}
}

func reset(t testing.TB, view postgres.View) {
	t.Helper()
	if done, err := view.Reset(t.Context(), 0); err != nil || !done {
		t.Fatalf("reset: %t, %v", done, err)
	}
}
