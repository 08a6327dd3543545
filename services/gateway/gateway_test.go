package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
)

func TestACommandIsAcceptedAndStoredBeforeItIsAnswered(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	a := w.send(call{path: "/projects/shop/commands", body: `{"kind":"shell","argv":["make","test"],"env":{"CI":"1"},"workdir":"api","timeout":"90s"}`})
	op := a.operation(t, http.StatusAccepted)
	if op.State != contract.Pending || op.Kind != contract.KindShell || op.Project != "shop" || op.Rev != 1 || op.Actor != "key:admin" {
		t.Errorf("operation %+v", op)
	}
	for name, want := range map[string]string{
		"Location": "/operations/" + op.ID, "ETag": `"1"`, "Rdev-Seq": strconv.FormatUint(w.stored(), 10),
		"Content-Type": "application/json", "Idempotency-Replayed": "", "Preference-Applied": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	stored, err := w.conn.Load(t.Context(), op.ID)
	if err != nil {
		t.Fatal(err)
	}
	cmd := stored.Command
	if cmd.Shell.Argv[1] != "test" || cmd.Env["CI"] != "1" || cmd.Workdir != "api" || time.Duration(cmd.Timeout) != 90*time.Second {
		t.Errorf("stored command %+v", cmd)
	}
	if strings.Contains(string(a.body), "request_hash") {
		t.Error("the hash of the request is shown")
	}
	read := w.get(op.Links.Self).operation(t, http.StatusOK)
	if read.ID != op.ID || read.Seq != stored.Seq {
		t.Errorf("read %+v", read)
	}
	w.onLane(contract.PodLane("shop"), op.ID)
}

func TestPreferWaitAnswersTheEnd(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "slow")
	w.work(func(cmd contract.RunOperation) {
		if cmd.Project == "shop" {
			w.begin(cmd.Operation)
			w.complete(cmd.Operation)
		}
	})
	body := `{"kind":"shell","argv":["true"]}`
	a := w.send(call{path: "/projects/shop/commands", body: body, header: map[string]string{"Prefer": "respond-async, wait=20"}})
	op := a.operation(t, http.StatusOK)
	if op.State != contract.Completed || *op.ExitCode != 0 || a.header.Get("ETag") != `"3"` || a.header.Get("Preference-Applied") != "wait=20" {
		t.Errorf("%s, %v", a.body, a.header)
	}
	a = w.send(call{path: "/projects/slow/commands", body: body, header: map[string]string{"Prefer": "wait=1"}})
	if op = a.operation(t, http.StatusAccepted); op.State != contract.Pending || a.header.Get("Location") == "" {
		t.Errorf("%s", a.body)
	}
	go func() { w.begin(op.ID); w.complete(op.ID) }()
	a = w.send(call{method: http.MethodGet, path: "/operations/" + op.ID, header: map[string]string{"Prefer": "wait=20"}})
	if op = a.operation(t, http.StatusOK); op.State != contract.Completed {
		t.Errorf("a read that waits answers %s", op.State)
	}
}

func TestTheSameRequestWithTheSameKeyIsOneOperation(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	post := func(url, idempotencyKey, body string) answer {
		return w.send(call{url: url, path: "/projects/shop/commands", body: body, header: map[string]string{"Idempotency-Key": idempotencyKey}})
	}
	first := post("", "k1", `{"kind":"shell","argv":["true"],"workdir":"a"}`)
	op := first.operation(t, http.StatusAccepted)
	again := post("", "k1", ` {"workdir":"a", "argv":["true"],"kind":"shell"}`)
	if got := again.operation(t, http.StatusAccepted); got.ID != op.ID || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the second answers %s, replayed %q", got.ID, again.header.Get("Idempotency-Replayed"))
	}
	post("", "k1", `{"kind":"shell","argv":["false"],"workdir":"a"}`).problem(t, http.StatusConflict, contract.CodeIdempotencyMismatch)
	w.send(call{path: "/projects", body: `{"slug":"other"}`, header: map[string]string{"Idempotency-Key": "k1"}}).
		problem(t, http.StatusConflict, contract.CodeIdempotencyMismatch)
	if got := post("", "k2", `{"kind":"shell","argv":["true"],"workdir":"a"}`).operation(t, http.StatusAccepted); got.ID == op.ID {
		t.Error("another key answers the same operation")
	}

	w.begin(op.ID)
	w.complete(op.ID)
	w.stop()
	url, _ := w.start()
	again = post(url, "k1", `{"kind":"shell","argv":["true"],"workdir":"a"}`)
	if got := again.operation(t, http.StatusAccepted); got.ID != op.ID || got.State != contract.Completed || again.header.Get("ETag") != `"3"` {
		t.Errorf("after a restart %s, %s, ETag %s", got.ID, got.State, again.header.Get("ETag"))
	}
	// What allowed the request is gone; the operation is not.
	w.project("shop", contract.TypeProjectDeleting)
	if got := post(url, "k1", `{"kind":"shell","argv":["true"],"workdir":"a"}`).operation(t, http.StatusAccepted); got.ID != op.ID {
		t.Error("a replay is refused for what changed since")
	}
	post(url, "k3", `{"kind":"shell","argv":["true"]}`).problem(t, http.StatusConflict, contract.CodeConflict)
	long := strings.Repeat("k", 256)
	post(url, long, `{"kind":"shell","argv":["true"]}`).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest)
}

func TestAHundredPostsAtOnceOnTwoGatewaysAreOneOperation(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	other, _ := w.start()
	before := w.stored()
	answers := make([]answer, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i] = w.send(call{
				url: []string{w.url, other}[i%2], path: "/projects/shop/commands",
				body: `{"kind":"shell","argv":["true"]}`, header: map[string]string{"Idempotency-Key": "once"},
			})
		})
	}
	wg.Wait()
	ids, fresh := map[string]bool{}, 0
	for _, a := range answers {
		ids[a.operation(t, http.StatusAccepted).ID] = true
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if len(ids) != 1 || fresh != 1 || w.stored() != before+1 {
		t.Errorf("%d operations, %d answers of a new one, %d events", len(ids), fresh, w.stored()-before)
	}
}

func TestAClientThatGoesAwayLeavesNoHalf(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		idempotencyKey := fmt.Sprintf("gone-%d", i)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/projects/shop/commands", strings.NewReader(`{"kind":"shell","argv":["true"]}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-API-Key", w.key)
		request.Header.Set("Idempotency-Key", idempotencyKey)
		time.AfterFunc(time.Duration(i)*200*time.Microsecond, cancel)
		if response, err := http.DefaultClient.Do(request); err == nil {
			_ = response.Body.Close()
		}
		cancel()
		a := w.send(call{path: "/projects/shop/commands", body: `{"kind":"shell","argv":["true"]}`, header: map[string]string{"Idempotency-Key": idempotencyKey}})
		op := a.operation(t, http.StatusAccepted)
		events, err := w.conn.History(t.Context(), contract.EntityOperation, op.ID, 0)
		if err != nil || len(events) != 1 {
			t.Fatalf("operation %s has %d events, %v", op.ID, len(events), err)
		}
	}
}

func TestNobodyGetsInWithoutTheKey(t *testing.T) {
	w := newWorld(t)
	for name, header := range map[string]map[string]string{
		"wrong key":          {"X-API-Key": "rdev_wrong"},
		"longer key":         {"X-API-Key": w.key + "x"},
		"no scheme":          {"X-API-Key": "", "Authorization": w.key},
		"basic":              {"X-API-Key": "", "Authorization": "Basic " + w.key},
		"wrong bearer":       {"X-API-Key": "", "Authorization": "Bearer rdev_wrong"},
		"nothing":            {"X-API-Key": ""},
		"wrong before right": {"X-API-Key": "rdev_wrong", "Authorization": "Bearer " + w.key},
	} {
		for _, path := range []string{"/projects", "/operations/x/output", "/events", "/agents", "/webhooks"} {
			a := w.send(call{method: http.MethodGet, path: path, header: header})
			a.problem(t, http.StatusUnauthorized, contract.CodeUnauthorized)
			if a.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: WWW-Authenticate %q", name, a.header.Get("WWW-Authenticate"))
			}
		}
	}
	for _, scheme := range []string{"Bearer ", "bearer "} {
		a := w.send(call{method: http.MethodGet, path: "/projects/shop", header: map[string]string{"X-API-Key": "", "Authorization": scheme + w.key}})
		a.problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
	for _, path := range []string{"/health", "/ready", "/version", "/openapi.json", "/docs"} {
		if a := w.send(call{method: http.MethodGet, path: path, header: map[string]string{"X-API-Key": ""}}); a.status != http.StatusOK {
			t.Errorf("%s answers %d without a key", path, a.status)
		}
	}
}

func TestAGatewayWithoutItsPepperDoesNotStart(t *testing.T) {
	short := filepath.Join(t.TempDir(), "pepper")
	if err := os.WriteFile(short, []byte("  31 bytes are one byte too few.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(t.TempDir(), "none"): "no such file", short: "at least 32"} {
		err := gateway.Run(t.Context(), gateway.Config{NATS: bus.Settings{URL: "nats://127.0.0.1:1"}, KeyPepper: path}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), "GATEWAY_KEY_PEPPER_FILE") || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

func TestCancelDependsOnWhereTheOperationStands(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	cancel := func(op operation) answer { return w.send(call{path: "/operations/" + op.ID + "/cancel"}) }

	waiting := w.run("shop")
	for range 2 {
		if op := cancel(waiting).operation(t, http.StatusOK); op.State != contract.Cancelled || op.Rev != 2 {
			t.Errorf("one that waits is %s at revision %d", op.State, op.Rev)
		}
	}

	running := w.run("shop")
	w.begin(running.ID)
	heard := make(chan struct{}, 10)
	if err := w.conn.OnSignal(t.Context(), running.ID, func() { heard <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := w.conn.NATS().Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if op := cancel(running).operation(t, http.StatusAccepted); op.State != contract.Running || !op.CancelRequested || op.Rev != 3 {
			t.Errorf("one that runs: %+v", op)
		}
		select {
		case <-heard:
		case <-time.After(testkit.Patience):
			t.Fatal("the executor is not told")
		}
	}
	w.change(running.ID, func(op contract.Operation) contract.Change {
		return contract.OperationCancelled{Attempt: op.Attempt, At: time.Now().UTC()}
	})
	if op := cancel(running).operation(t, http.StatusOK); op.State != contract.Cancelled {
		t.Errorf("one that was cancelled is %s", op.State)
	}

	ended := w.run("shop")
	w.begin(ended.ID)
	w.complete(ended.ID)
	cancel(ended).problem(t, http.StatusConflict, contract.CodeConflict)
}

func TestAProjectIsCreatedReadAndDeleted(t *testing.T) {
	w := newWorld(t)
	w.work(func(cmd contract.RunOperation) {
		w.begin(cmd.Operation)
		if cmd.Kind == contract.KindProjectCreate {
			w.project(cmd.Project, contract.TypeProjectCreated)
		} else {
			w.project(cmd.Project, contract.TypeProjectDeleting)
			w.project(cmd.Project, contract.TypeProjectDeleted)
		}
		w.complete(cmd.Operation)
	})
	wait := map[string]string{"Prefer": "wait=20"}
	for range 2 { // the slug is free again
		op := w.send(call{path: "/projects", body: `{"slug":"shop"}`, header: wait}).operation(t, http.StatusOK)
		if op.Kind != contract.KindProjectCreate || op.State != contract.Completed || op.Spec.Template != "default" {
			t.Errorf("%+v", op)
		}
		w.send(call{path: "/projects", body: `{"slug":"shop"}`}).problem(t, http.StatusConflict, contract.CodeConflict)
		var project map[string]any
		w.get("/projects/shop").decode(t, http.StatusOK, &project)
		runtime, _ := project["runtime"].(map[string]any)
		if project["state"] != "ready" || runtime["kind"] != "local" || runtime["workspace"] != "/srv/shop" || project["workspace"] != nil {
			t.Errorf("project %v", project)
		}
		op = w.send(call{method: http.MethodDelete, path: "/projects/shop", header: wait}).operation(t, http.StatusOK)
		if op.Kind != contract.KindProjectDelete || op.State != contract.Completed {
			t.Errorf("%+v", op)
		}
		w.get("/projects/shop").problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.send(call{path: "/projects/shop/commands", body: `{"kind":"shell","argv":["true"]}`}).problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.send(call{method: http.MethodDelete, path: "/projects/shop"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
}
