package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/audit"
)

// bench is a log, a database and a client.
type bench struct {
	testing.TB
	server *embedded.Server
	conn   *bus.Conn
	cfg    audit.Config
}

func newBench(t testing.TB) *bench {
	t.Helper()
	server := testkit.NATS(t)
	return &bench{
		TB: t, server: server, conn: testkit.Connect(t, server.URL(), "gateway"),
		cfg: audit.Config{NATS: bus.Settings{URL: server.URL()}, DatabaseURL: testkit.Postgres(t)},
	}
}

// serve runs the service until the test ends or it is stopped.
func (b *bench) serve() (stop func()) { return testkit.Serve(b.TB, audit.Run, b.cfg) }

func (b *bench) append(op *contract.Operation, change contract.Change) contract.Operation {
	b.Helper()
	next, err := b.conn.Append(b.Context(), op, change)
	if err != nil {
		b.Fatal(err)
	}
	return next
}

func accept(project string, at time.Time) contract.OperationPending {
	return contract.OperationPending{Operation: contract.Operation{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: contract.KindShell, Project: project, Actor: "key:ci",
		CreatedAt: at, Lane: contract.PodLane(project),
		Command: &contract.Command{Shell: &contract.Shell{Script: "echo '<&>'"}},
	}}
}

// life appends a whole life of four events.
func (b *bench) life(project string) contract.Operation {
	b.Helper()
	now := time.Now().UTC()
	op := b.append(nil, accept(project, now))
	op = b.append(&op, contract.OperationRunning{Attempt: 1, Executor: "executor-1", At: now})
	op = b.append(&op, contract.OperationCancelRequested{})
	code := 0
	return b.append(&op, contract.OperationCompleted{Attempt: 1, ExitCode: &code, At: now})
}

// byHand publishes as an administrator would: without a guard.
func (b *bench) byHand(entity, eventType, id, body string) uint64 {
	b.Helper()
	m := nats.NewMsg(contract.AppendSubject(entity, eventType, id))
	m.Data = []byte(body)
	ack, err := b.conn.JetStream().PublishMsg(b.Context(), m)
	if err != nil {
		b.Fatal(err)
	}
	return ack.Sequence
}

func call[Reply, Request any](b *bench, verb string, request Request) (Reply, error) {
	ctx, cancel := context.WithTimeout(b.Context(), testkit.Patience)
	defer cancel()
	return bus.Call[Request, Reply](ctx, b.conn, contract.ServiceAudit, verb, request)
}

// list asks for a page that holds an event, until there is one.
func (b *bench) list(request contract.ListOperations) contract.OperationList {
	b.Helper()
	var list contract.OperationList
	testkit.Eventually(b, func() (err error) {
		list, err = call[contract.OperationList](b, contract.VerbListOperations, request)
		if err == nil && list.Stale {
			err = fmt.Errorf("the list holds event %d, want %d", list.ProjectedSeq, request.MinSeq)
		}
		return err
	})
	return list
}

// end is the sequence of the last event of the log.
func (b *bench) end() uint64 {
	b.Helper()
	stream, err := b.conn.JetStream().Stream(b.Context(), contract.StreamEvents)
	if err != nil {
		b.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// folded folds the whole log in memory.
func (b *bench) folded() (operations map[string]contract.Operation, events int) {
	b.Helper()
	operations = map[string]contract.Operation{}
	folds := map[string]*bus.Fold{}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	end := b.end()
	err := b.conn.Follow(ctx, contract.SubjectEventsAll, 1, testkit.Log(b), func(e bus.Event) error {
		events++
		if e.Seq == end {
			cancel()
		}
		if folds[e.Key] == nil {
			folds[e.Key] = &bus.Fold{}
		}
		if _, legal := folds[e.Key].Add(e); legal {
			operations[e.Key] = *folds[e.Key].Operation
		}
		return nil
	}, func() {})
	if err != nil {
		b.Fatal(err)
	}
	return operations, events
}

// query reads one row of the service's tables.
func (b *bench) query(statement string, into ...any) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), b.cfg.DatabaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	if err := conn.QueryRow(b.Context(), statement).Scan(into...); err != nil {
		b.Fatal(err)
	}
}

// sum is a checksum of every row of both tables.
func (b *bench) sum() (operations, events string) {
	b.query(`select md5(string_agg(o::text, chr(10) order by id)) from audit.operations o`, &operations)
	b.query(`select md5(string_agg(e::text, chr(10) order by seq)) from audit.operation_events e`, &events)
	return operations, events
}

// work appends lives in the background until the function that it returns is called.
func (b *bench) work() (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for _, project := range []string{"shop", "bakery"} {
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					b.life(project)
				}
			}
		})
	}
	return func() { close(done); wg.Wait() }
}
