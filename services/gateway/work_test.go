package gateway_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
)

// queue posts a piece of work, with more fields of its body where there are some.
func (w *world) queue(project, more string) operation {
	w.t.Helper()
	return w.send(call{path: "/work", body: fmt.Sprintf(`{"kind":"test","project":%q,"argv":["true"]%s}`, project, more)}).operation(w.t, http.StatusAccepted)
}

// workers has the log know some.
func (w *world) workers(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		_, err := w.conn.UpdateWorker(w.t.Context(), id, func(*contract.Worker) (string, contract.Worker, error) {
			return contract.TypeWorkerReady, contract.Worker{ID: id, Runtime: contract.RuntimeLocal, Workspace: "/workers/" + id, CreatedAt: time.Now().UTC()}, nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// beginWork starts work on a worker, as its executor does, or tells that it is not to.
func (w *world) beginWork(cmd contract.RunOperation) (op contract.Operation, mine bool) {
	w.t.Helper()
	op = w.change(cmd.Operation, func(op contract.Operation) contract.Change {
		if mine = !op.State.Ended() && op.WorkFor(cmd.Worker, time.Now()); !mine {
			return nil
		}
		return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: "test", Worker: cmd.Worker, At: time.Now().UTC()}
	})
	return op, mine
}

func (w *world) freeLane(worker string) {
	w.t.Helper()
	stream, err := w.conn.JetStream().Stream(w.t.Context(), contract.StreamCommands)
	if err == nil {
		err = stream.Purge(w.t.Context(), jetstream.WithPurgeSubject(contract.WorkerLane(worker).Subject()))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestWorkGoesToTheWorkerThatIsFree(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "blog")
	first, second, third := w.queue("shop", ""), w.queue("shop", ""), w.queue("shop", "")
	if first.Kind != "work.test" || first.Work.Priority != contract.PriorityNormal || first.Work.MaxAttempts != 1 || first.Lane != contract.WorkLane() {
		t.Errorf("it is %+v, %+v", first.Operation, first.Work)
	}
	other := w.queue("blog", "")
	urgent := w.queue("shop", `,"priority":"high"`)
	testkit.Eventually(t, func() error { // workers are read from the log side by side with it
		var report struct{ Queued int }
		if w.get("/work/stats").decode(t, http.StatusOK, &report); report.Queued != 5 {
			return fmt.Errorf("%d wait", report.Queued)
		}
		return nil
	})
	w.workers("w1", "w2")
	// All of a higher priority, and then it is each project's turn.
	w.onLane(contract.WorkerLane("w1"), urgent.ID)
	w.onLane(contract.WorkerLane("w2"), first.ID)
	cmd, err := w.conn.OnLane(t.Context(), contract.WorkerLane("w2"))
	w.beginWork(cmd)
	testkit.Eventually(t, func() error {
		var list struct {
			Workers []struct {
				ID, State          string
				Operation, Project *string
				Since              *time.Time
			}
		}
		w.get("/workers").decode(t, http.StatusOK, &list)
		if b := list.Workers[1]; b.Operation == nil || *b.Operation != first.ID || *b.Project != "shop" || time.Since(*b.Since) > time.Minute {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	if want := (contract.RunOperation{Operation: first.ID, Project: "shop", Kind: "work.test", Worker: "w2"}); err != nil || cmd != want {
		t.Errorf("the command is %+v, %v; want %+v", cmd, err, want)
	}
	for _, next := range []operation{other, second, third} {
		if _, mine := w.beginWork(cmd); !mine {
			t.Fatalf("%s may not run on its worker", cmd.Operation)
		}
		w.complete(cmd.Operation)
		w.freeLane("w2")
		w.onLane(contract.WorkerLane("w2"), next.ID)
		cmd.Operation = next.ID
	}
}

func TestWorkWaitsForItsTime(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	begin := time.Now()
	later := w.queue("shop", `,"delay":"1500ms"`)
	never := w.queue("shop", fmt.Sprintf(`,"run_at":%q`, time.Now().Add(time.Hour).Format(time.RFC3339)))
	now := w.queue("shop", `,"max_attempts":2,"backoff":"1s"`)
	if got := later.Work.RunAt.Sub(later.CreatedAt); got != 1500*time.Millisecond {
		t.Errorf("it runs after %s", got)
	}
	lane := contract.WorkerLane("w1")
	w.onLane(lane, now.ID)
	cmd := contract.RunOperation{Operation: now.ID, Worker: "w1"}
	w.beginWork(cmd)
	failed := w.change(now.ID, func(contract.Operation) contract.Change {
		at := time.Now().UTC()
		return contract.OperationRetrying{Attempt: 1, Failure: contract.NewFailure(contract.ClassUser, "no"), At: at, RunAt: at.Add(3 * time.Second)}
	})
	w.freeLane("w1")
	w.onLane(lane, later.ID)
	if waited := time.Since(begin); waited < 1500*time.Millisecond {
		t.Errorf("it waited %s", waited)
	}
	w.beginWork(contract.RunOperation{Operation: later.ID, Worker: "w1"})
	w.complete(later.ID)
	w.freeLane("w1")
	w.onLane(lane, now.ID)
	if early := time.Until(*failed.Work.RunAt); early > 0 {
		t.Errorf("the next try is offered %s early", early)
	}
	var report struct{ Delayed, Retried, Completed int }
	w.get("/work/stats").decode(t, http.StatusOK, &report)
	if report.Delayed != 1 || report.Retried != 1 || report.Completed != 1 {
		t.Errorf("the report is %+v", report)
	}
	w.send(call{path: "/work/" + never.ID + "/cancel"}).operation(t, http.StatusOK)
}

func TestAWorkerDrainsAndComesBack(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1", "w2")
	testkit.Eventually(t, func() error {
		var list struct{ Workers []struct{ ID, State string } }
		w.get("/workers").decode(t, http.StatusOK, &list)
		if len(list.Workers) != 2 {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	for range 2 { // again is harmless
		var drained contract.Worker
		w.send(call{path: "/workers/w1/drain"}).decode(t, http.StatusOK, &drained)
		if drained.State != contract.WorkerDraining {
			t.Errorf("it is %s", drained.State)
		}
	}
	w.send(call{path: "/workers/w3/drain"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	w.send(call{path: "/workers/a.b/drain"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	one, two := w.queue("shop", ""), w.queue("shop", "")
	w.onLane(contract.WorkerLane("w2"), one.ID)
	if cmd, err := w.conn.OnLane(t.Context(), contract.WorkerLane("w1")); err == nil {
		t.Errorf("the one that drains is offered %+v", cmd)
	}
	w.send(call{path: "/workers/w1/resume"}).decode(t, http.StatusOK, &contract.Worker{})
	w.onLane(contract.WorkerLane("w1"), two.ID)
}

func TestWorkIsDoneAgainFromItsInputs(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	op := w.queue("shop", `,"labels":{"a":"b"},"repository":{"url":"https://git.example.com/shop.git","ref":"v1"},"delay":"10ms","max_attempts":1`)
	w.send(call{path: "/work/" + op.ID + "/retry"}).problem(t, http.StatusConflict, contract.CodeConflict)
	w.onLane(contract.WorkerLane("w1"), op.ID)
	w.beginWork(contract.RunOperation{Operation: op.ID, Worker: "w1"})
	w.complete(op.ID)
	again := w.send(call{path: "/work/" + op.ID + "/retry", header: map[string]string{"Idempotency-Key": "k"}}).operation(t, http.StatusAccepted)
	if again.ID == op.ID || again.Work.RetryOf != op.ID || again.Work.Labels["a"] != "b" || again.Work.Repository.Ref != "v1" || again.Work.RunAt != nil || again.State != contract.Pending {
		t.Errorf("once more is %+v, %+v", again.Operation, again.Work)
	}
	if same := w.send(call{path: "/work/" + op.ID + "/retry", header: map[string]string{"Idempotency-Key": "k"}}).operation(t, http.StatusAccepted); same.ID != again.ID {
		t.Errorf("the same request made %s, too", same.ID)
	}
	serve(w, contract.ServiceAudit, contract.VerbGetOperation, func(contract.GetOperation) (contract.Operation, error) {
		return contract.Operation{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is none"}
	})
	for _, path := range []string{"/work/" + unknownID, "/work/nothing", "/work/" + w.run("shop").ID} {
		w.get(path).problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.send(call{path: path + "/retry"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.send(call{path: path + "/cancel"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
	w.get("/work/"+op.ID).operation(t, http.StatusOK)
}

func TestWorkWithAUniqueKeyIsThereOnce(t *testing.T) {
	w := newWorld(t)
	second, _ := w.start()
	w.ready("shop", "blog")
	const body = `{"kind":"test","project":"shop","argv":["true"],"unique_key":"nightly"}`
	ask := func(url, key string) operation {
		return w.send(call{url: url, path: "/work", body: body, header: map[string]string{"Idempotency-Key": key}}).operation(t, http.StatusAccepted)
	}
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids { // at once, of two gateways
		wg.Go(func() { ids[i] = ask([]string{w.url, second}[i%2], fmt.Sprint("first-", i)).ID })
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("there are several: %q", ids)
		}
	}
	if other := w.queue("blog", `,"unique_key":"nightly"`); other.ID == ids[0] {
		t.Error("another project's is the same")
	}
	first, err := w.conn.Load(t.Context(), ids[0])
	if err != nil || first.Work.Turn != 1 {
		t.Fatalf("got %+v, %v", first.Work, err)
	}
	w.send(call{path: "/work/" + first.ID + "/cancel"}).operation(t, http.StatusOK)
	next := ask(second, "next")
	if next.ID == first.ID || next.Work.Turn != 2 {
		t.Errorf("the next one is %+v", next.Work)
	}
	w.send(call{path: "/work/" + next.ID + "/cancel"}).operation(t, http.StatusOK)
	if again := ask(w.url, "next"); again.ID != next.ID {
		t.Errorf("the same request made %s, too", again.ID)
	}
}

func TestManyItemsAreInTheLogInTheirOrder(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	items := make([]string, 40)
	for i := range items {
		items[i] = `{"kind":"test","project":"shop","argv":["true"]}`
	}
	items[20] = `{"kind":"test","project":"shop","argv":["true"],"unique_key":"nightly"}`
	var outcome struct {
		Items []struct{ Operation contract.Operation }
	}
	w.send(call{path: "/work/bulk", body: `{"items":[` + strings.Join(items, ",") + `]}`}).decode(t, http.StatusOK, &outcome)
	before := uint64(0)
	for i, item := range outcome.Items {
		op, err := w.conn.Load(t.Context(), item.Operation.ID)
		if err != nil || op.Seq <= before {
			t.Fatalf("item %d is at %d, after %d: %v", i, op.Seq, before, err)
		}
		before = op.Seq
	}
}

func TestItemsCountEachOtherAsWaiting(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.url = w.limited(gateway.Limits{ProjectQueueDepth: 3})
	item := `{"kind":"test","project":"shop","argv":["true"]}`
	var outcome struct {
		Items []struct{ Error *contract.Error }
	}
	w.send(call{path: "/work/bulk", body: `{"items":[` + strings.Repeat(item+",", 4) + item + `]}`}).decode(t, http.StatusOK, &outcome)
	for i, got := range outcome.Items {
		if refused := got.Error != nil && got.Error.Code == contract.CodeRateLimited; refused != (i >= 3) {
			t.Errorf("item %d: %+v", i, got.Error)
		}
	}
}

func TestManyItemsHaveAnOutcomeEach(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	own := w.newKey(`{"name":"own","scopes":["work:write"],"projects":["shop"]}`).Secret
	body := `{"items":[{"kind":"test","project":"shop","argv":["true"]},{"kind":"test","project":"shop"},{"kind":"build","project":"none","argv":["true"]},
		{"kind":"test","project":"shop","script":"exit 1","priority":"low"}]}`
	send := func() (ids []string) {
		var outcome struct {
			Items []struct {
				Operation *contract.Operation
				Error     *contract.Error
			}
		}
		w.send(call{path: "/work/bulk", key: own, body: body, header: map[string]string{"Idempotency-Key": "bulk"}}).decode(t, http.StatusOK, &outcome)
		if len(outcome.Items) != 4 || outcome.Items[1].Error.Code != contract.CodeInvalidRequest || outcome.Items[1].Error.Fields[0].Field != "argv" ||
			outcome.Items[2].Error.Code != contract.CodeProjectNotAllowed || outcome.Items[3].Operation.Work.Priority != contract.PriorityLow {
			t.Fatalf("got %+v", outcome.Items)
		}
		return []string{outcome.Items[0].Operation.ID, outcome.Items[3].Operation.ID}
	}
	first := send()
	if second := send(); first[0] != second[0] || first[1] != second[1] {
		t.Errorf("the same request made %q and %q", first, second)
	}
	w.send(call{path: "/work/bulk", body: `{"items":[]}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "items")
	w.send(call{path: "/work/bulk", body: `{"items":[` + strings.Repeat(`{},`, 500) + `{}]}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "items")
}

func TestWorkThatIsWrongIsRefused(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	for body, field := range map[string]string{
		`{"project":"shop","argv":["true"]}`:                                                                        "kind",
		`{"kind":"shell","project":"shop","argv":["true"]}`:                                                         "kind",
		`{"kind":"test","argv":["true"]}`:                                                                           "project",
		`{"kind":"test","project":"Shop","argv":["true"]}`:                                                          "project",
		`{"kind":"test","project":"shop"}`:                                                                          "argv",
		`{"kind":"test","project":"shop","argv":["true"],"script":"true"}`:                                          "script",
		`{"kind":"test","project":"shop","argv":["true"],"agent":{"provider":"codex","prompt":"x"}}`:                "agent",
		`{"kind":"test","project":"shop","agent":{"provider":"codex"}}`:                                             "agent.prompt",
		`{"kind":"test","project":"shop","agent":{"provider":"codex","prompt":"x","limits":{"turns":0}}}`:           "agent.limits.turns",
		`{"kind":"test","project":"shop","argv":["true"],"priority":"urgent"}`:                                      "priority",
		`{"kind":"test","project":"shop","argv":["true"],"delay":"soon"}`:                                           "delay",
		`{"kind":"test","project":"shop","argv":["true"],"delay":"1h","run_at":"2026-01-01T00:00:00Z"}`:             "delay",
		`{"kind":"test","project":"shop","argv":["true"],"run_at":"2099-01-01T00:00:00Z"}`:                          "run_at",
		`{"kind":"test","project":"shop","argv":["true"],"max_attempts":0}`:                                         "max_attempts",
		`{"kind":"test","project":"shop","argv":["true"],"max_attempts":21}`:                                        "max_attempts",
		`{"kind":"test","project":"shop","argv":["true"],"backoff":"1ms"}`:                                          "backoff",
		`{"kind":"test","project":"shop","argv":["true"],"repository":{"url":"ext::sh -c x"}}`:                      "repository.url",
		`{"kind":"test","project":"shop","argv":["true"],"repository":{"url":"https://a/b","ref":"--upload-pack"}}`: "repository.ref",
		`{"kind":"test","project":"shop","argv":["true"],"workdir":"../x"}`:                                         "workdir",
		`{"kind":"test","project":"shop","argv":["true"],"labels":{"":"x"}}`:                                        "labels.",
		`{"kind":"test","project":"shop","argv":["true"],"artifacts":["../x"]}`:                                     "artifacts[0]",
		`{"kind":"test","project":"shop","argv":["true"],"artifacts":["a","./"]}`:                                   "artifacts[1]",
		`{"kind":"test","project":"shop","argv":["true"],"artifacts":["[a"]}`:                                       "artifacts[0]",
	} {
		w.send(call{path: "/work", body: body}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, field)
	}
	w.send(call{path: "/work", body: `{"kind":"test","project":"blog","argv":["true"]}`}).problem(t, http.StatusNotFound, contract.CodeNotFound)
}

func TestAQueueOfWorkThatIsLostIsFilledAgain(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1", "w2")
	running, waiting := w.queue("shop", ""), w.queue("shop", "")
	lane := contract.WorkerLane("w1")
	w.onLane(lane, running.ID)
	w.beginWork(contract.RunOperation{Operation: running.ID, Worker: "w1"})
	w.onLane(contract.WorkerLane("w2"), waiting.ID)
	w.purgeCommands()
	w.onLane(lane, running.ID)
	w.onLane(contract.WorkerLane("w2"), waiting.ID)
}

// Two gateways offer, eight executors take, some of them die: every item has one
// outcome, and none runs twice at once.
func TestEachItemRunsToOneOutcomeAndNeverTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.ready("shop", "blog")
	w.workers("w1", "w2", "w3", "w4")
	const count = 60
	var mu sync.Mutex
	busy := map[string]string{} // worker by operation
	dice := rand.New(rand.NewPCG(1, 2))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(n)
	}
	w.work(func(cmd contract.RunOperation) {
		op, mine := w.beginWork(cmd)
		if !mine {
			return
		}
		mu.Lock()
		if on := busy[op.ID]; on != "" && on != cmd.Worker {
			t.Errorf("%s runs on %s and on %s", op.ID, on, cmd.Worker)
		}
		busy[op.ID] = cmd.Worker
		mu.Unlock()
		time.Sleep(time.Duration(roll(10)) * time.Millisecond)
		mu.Lock()
		delete(busy, op.ID)
		mu.Unlock()
		if roll(4) > 0 {
			w.complete(op.ID)
			return
		}
		failure := contract.NewFailure(contract.ClassInfrastructure, "lost")
		w.change(op.ID, func(op contract.Operation) contract.Change {
			if _, again := op.Work.RetryAfter(failure); again {
				at := time.Now().UTC()
				return contract.OperationRetrying{Attempt: op.Attempt, Failure: failure, At: at, RunAt: at.Add(50 * time.Millisecond)}
			}
			return contract.OperationFailed{Attempt: op.Attempt, Failure: failure, At: time.Now().UTC()}
		})
	})
	var ids []string
	for i := range count {
		ids = append(ids, w.queue([]string{"shop", "blog"}[i%2], "").ID)
	}
	for _, id := range ids {
		testkit.Eventually(t, func() error {
			op, err := w.conn.Load(t.Context(), id)
			if err == nil && !op.State.Ended() {
				err = fmt.Errorf("%s is %s", id, op.State)
			}
			if err == nil && op.Attempt != len(op.Work.Tries)+1 {
				err = fmt.Errorf("%s has %d attempts and %d tries", id, op.Attempt, len(op.Work.Tries))
			}
			return err
		})
	}
	var report struct {
		Queued, Running, Completed, Failed int
		ByWorker                           map[string]json.RawMessage `json:"by_worker"`
		Wait                               struct{ P95 float64 }      `json:"wait_seconds"`
	}
	testkit.Eventually(t, func() error {
		w.get("/work/stats").decode(t, http.StatusOK, &report)
		if report.Completed+report.Failed != count || report.Queued+report.Running != 0 || len(report.ByWorker) != 4 || report.Wait.P95 <= 0 {
			return fmt.Errorf("the report is %+v", report)
		}
		return nil
	})
}

func TestTheLoadTellsWhatWaitsAndWhoIsFree(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1", "w2")
	w.onLane(contract.WorkerLane("w1"), w.queue("shop", "").ID)
	first, second := w.queue("shop", ""), w.queue("shop", "")
	w.onLane(contract.WorkerLane("w2"), first.ID)
	w.queue("shop", `,"delay":"1h"`)
	if _, mine := w.beginWork(contract.RunOperation{Operation: first.ID, Worker: "w2"}); !mine {
		t.Fatal("it does not begin")
	}
	asker := testkit.Connect(t, w.nats, contract.ServiceProvisioner)
	testkit.Eventually(t, func() error {
		load, err := bus.Call[struct{}, contract.WorkLoad](t.Context(), asker, contract.ServiceGateway, contract.VerbWorkLoad, struct{}{})
		if err != nil {
			return err
		}
		if load.Queued != 1 || load.OldestAge <= 0 || len(load.Workers) != 2 {
			return fmt.Errorf("the load is %+v, but only %s waits", load, second.ID)
		}
		one, two := load.Workers[0], load.Workers[1]
		if one.ID != "w1" || one.State != contract.WorkerReady || one.Operation == "" || one.Tasks != 0 || two.Operation != first.ID || two.Tasks != 1 {
			return fmt.Errorf("the workers are %+v", load.Workers)
		}
		return nil
	})
}

func TestAWorkerThatIsGoneIsForgottenOnceItsWorkIs(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	op := w.queue("shop", "")
	w.onLane(contract.WorkerLane("w1"), op.ID)
	w.beginWork(contract.RunOperation{Operation: op.ID, Worker: "w1"})
	_, err := w.conn.UpdateWorker(t.Context(), "w1", func(now *contract.Worker) (string, contract.Worker, error) {
		return contract.TypeWorkerGone, *now, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := func(want int) {
		t.Helper()
		testkit.Eventually(t, func() error {
			var list struct{ Workers []contract.Worker }
			if w.get("/workers").decode(t, http.StatusOK, &list); len(list.Workers) != want || want > 0 && list.Workers[0].State != contract.WorkerGone {
				return fmt.Errorf("the workers are %+v", list.Workers)
			}
			return nil
		})
	}
	listed(1)
	w.change(op.ID, func(now contract.Operation) contract.Change {
		return contract.OperationRetrying{Attempt: now.Attempt, Failure: contract.NewFailure(contract.ClassInfrastructure, "lost"), At: time.Now(), RunAt: time.Now().Add(time.Hour)}
	})
	listed(0)
}
