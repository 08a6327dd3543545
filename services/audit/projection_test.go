package audit_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// verify waits for the end of the log and compares the tables with its fold.
func (b *bench) verify() {
	b.Helper()
	b.list(contract.ListOperations{MinSeq: b.end()})
	want, events := b.folded()
	got := map[string]contract.Operation{}
	request := contract.ListOperations{Limit: contract.MaxPage}
	for {
		list := b.list(request)
		for _, op := range list.Operations {
			got[op.ID] = op
		}
		if list.NextCursor == nil {
			break
		}
		request.Cursor = *list.NextCursor
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("operations (-fold of the log +table):\n%s", diff)
	}
	var stored int
	b.query(`select count(*) from audit.operation_events`, &stored)
	if stored != events {
		b.Errorf("%d events are stored, the log holds %d", stored, events)
	}
}

func TestEveryEventCountsOnceHoweverOftenTheServiceStarts(t *testing.T) {
	b := newBench(t)
	b.cfg.Batch = 25
	stop := b.work()
	for range 6 {
		before := b.end()
		end := b.serve()
		b.list(contract.ListOperations{MinSeq: before + 20})
		end()
	}
	stop()
	b.serve()
	b.verify()
}

func TestTwoProcessesShareTheRequestsAndOneProjects(t *testing.T) {
	b := newBench(t)
	b.cfg.Batch = 25
	stop := b.work()
	first := b.serve()
	b.list(contract.ListOperations{MinSeq: b.end() + 20})
	b.serve()
	b.list(contract.ListOperations{MinSeq: b.end() + 20})
	first()
	b.list(contract.ListOperations{MinSeq: b.end() + 20})
	// The connection that holds the lock breaks while events come.
	var ended int
	b.query(`select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and granted
		and database = (select oid from pg_database where datname = current_database())`, &ended)
	if ended != 1 {
		t.Errorf("%d connections hold the lock, want 1", ended)
	}
	b.list(contract.ListOperations{MinSeq: b.end() + 20})
	stop()
	b.verify()
}

func TestPoisonIsStoredAndChangesNothing(t *testing.T) {
	b := newBench(t)
	b.serve()
	op := b.life("shop")
	again := strings.Replace(`{"id":"ID","state":"running","rev":5,"attempt":2}`, "ID", op.ID, 1)
	b.byHand(contract.EntityOperation, contract.TypePending, "x", `{"id":`)
	b.byHand(contract.EntityOperation, contract.TypePending, "y", "\xff\x00")
	b.byHand(contract.EntityOperation, contract.TypePending, "z", `{"id":"z","state":"pending","rev":1,"actor":"\u0000"}`)
	b.byHand(contract.EntityOperation, contract.TypeRunning, op.ID, again)
	b.byHand("volcano", "erupted", "etna", `{"lava":"\u0000"}`)
	b.byHand("volcano", "erupted", "etna.north.crater", `{}`) // no event at all
	b.life("bakery")
	b.verify()
	history, err := call[contract.OperationHistory](b, contract.VerbOperationHistory, contract.GetOperationHistory{ID: op.ID})
	if err != nil || len(history.Events) != 5 || !history.Events[4].Ignored || history.Events[3].Ignored {
		t.Errorf("history of an operation with an illegal event: %+v, %v", history.Events, err)
	}
	broken, err := call[contract.OperationHistory](b, contract.VerbOperationHistory, contract.GetOperationHistory{ID: "x"})
	if err != nil || len(broken.Events) != 1 || broken.Events[0].Operation != nil {
		t.Errorf("history of what is no JSON: %+v, %v", broken.Events, err)
	}
}

func TestARebuiltTableEqualsTheLiveOneRowForRow(t *testing.T) {
	b := newBench(t)
	b.cfg.Batch = 5
	b.serve()
	b.serve()
	for range 20 {
		b.life("shop")
		b.byHand(contract.EntityOperation, contract.TypePending, "x", `{"id":`)
	}
	b.verify()
	operations, events := b.sum()
	for range 3 {
		if _, err := call[contract.ProjectionPosition](b, contract.VerbRebuildProjection, contract.RebuildProjection{}); err != nil {
			t.Fatal(err)
		}
		b.list(contract.ListOperations{MinSeq: b.end()})
		if again, eventsAgain := b.sum(); again != operations || eventsAgain != events {
			t.Errorf("rebuilt tables have the sums %s and %s, want %s and %s", again, eventsAgain, operations, events)
		}
	}
	b.life("shop")
	b.verify()
}

func TestARebuildIsRefusedWhereTheLogHasForgotten(t *testing.T) {
	b := newBench(t)
	b.serve()
	op := b.life("shop")
	b.list(contract.ListOperations{MinSeq: op.Seq})
	stream, err := b.conn.JetStream().Stream(t.Context(), contract.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(3)); err != nil { // as age would
		t.Fatal(err)
	}
	_, err = call[contract.ProjectionPosition](b, contract.VerbRebuildProjection, contract.RebuildProjection{})
	if known, ok := errors.AsType[*contract.Error](err); !ok || known.Code != contract.CodeConflict {
		t.Errorf("rebuild from a log that lost its beginning: %v, want %s", err, contract.CodeConflict)
	}
}

func TestMetricsTellHowFarTheProjectionIs(t *testing.T) {
	b := newBench(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.HTTPAddr = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	b.serve()
	op := b.life("shop")
	b.byHand(contract.EntityOperation, contract.TypePending, "x", `{"id":`)
	client := http.Client{Timeout: 5 * time.Second}
	testkit.Eventually(t, func() error {
		response, err := client.Get("http://" + b.cfg.HTTPAddr + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		for _, line := range []string{
			fmt.Sprintf("rdev_audit_projection_position %d\n", op.Seq+1),
			"rdev_audit_projection_lag_events 0\n", "rdev_audit_illegal_events_total 1\n",
		} {
			if err == nil && !strings.Contains(string(body), line) {
				err = fmt.Errorf("no %q in\n%s", line, body)
			}
		}
		return err
	})
}
