package gateway_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
)

// soon is a few seconds, on a machine that is busy.
const soon = 12 * time.Second

func TestAnOutageOfNATSIsToldWithinSecondsAndHeals(t *testing.T) {
	t.Parallel()
	options := embedded.Options{Dir: t.TempDir(), Unsynced: true, Log: slog.New(slog.DiscardHandler)}
	server, err := embedded.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Shutdown() }) // the second one, where there is one
	streams := gateway.Streams{NATS: bus.Settings{URL: server.URL()}, Replicas: 1}
	if err := gateway.MigrateStreams(t.Context(), streams, testkit.Log(t), t.Output()); err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, server)
	w.ready("shop")
	op := w.run("shop")
	w.onLane(contract.PodLane("shop"), op.ID)

	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	options.Port, err = strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	header := map[string]string{"Idempotency-Key": "during-the-outage"}
	post := call{path: "/projects/shop/commands", body: `{"kind":"shell","argv":["true"]}`, header: header}
	var wg sync.WaitGroup
	begin := time.Now()
	calls := []call{
		post,
		{path: "/operations/" + op.ID + "/cancel"},
		{method: http.MethodGet, path: "/operations/" + op.ID},
		{method: http.MethodGet, path: "/operations/" + op.ID + "/events"},
		{method: http.MethodGet, path: "/operations/" + op.ID + "/output"},
		{method: http.MethodGet, path: "/events"},
		{method: http.MethodGet, path: "/projects/shop"},
		{method: http.MethodGet, path: "/projects"},
	}
	answers := make([]answer, len(calls))
	for i, c := range calls {
		wg.Go(func() { answers[i] = w.send(c) })
	}
	wg.Wait()
	if took := time.Since(begin); took > soon {
		t.Errorf("the answers took %s", took)
	}
	for i, a := range answers {
		a.problem(t, http.StatusServiceUnavailable, contract.CodeUnavailable)
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: no Retry-After", calls[i].method, calls[i].path)
		}
	}
	if a := w.get("/ready"); a.status != http.StatusServiceUnavailable {
		t.Errorf("ready answers %d", a.status)
	}
	if a := w.get("/health"); a.status != http.StatusOK {
		t.Errorf("health answers %d", a.status)
	}

	if server, err = embedded.Start(options); err != nil {
		t.Fatal(err)
	}
	var again answer
	testkit.Eventually(t, func() error {
		if again = w.send(post); again.status != http.StatusAccepted {
			return fmt.Errorf("status %d, %w", again.status, again.err)
		}
		return nil
	})
	// What waited is carried out.
	w.work(func(cmd contract.RunOperation) {
		w.begin(cmd.Operation)
		w.complete(cmd.Operation)
	})
	for _, id := range []string{op.ID, again.operation(t, http.StatusAccepted).ID} {
		testkit.Eventually(t, func() error {
			if got := w.get("/operations/"+id).operation(t, http.StatusOK); got.State != contract.Completed {
				return fmt.Errorf("%s is %s", id, got.State)
			}
			return nil
		})
	}
}
