package client_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/gatewaytest"
	"github.com/orchard9/rdev/libs/contract"
)

func TestOutputThatIsCutInEveryFrameComesWholeAndOnce(t *testing.T) {
	gateway, c := start(t, "shop")
	accepted, err := c.Run(t.Context(), "shop", shell("cut", "25"), "")
	if err != nil {
		t.Fatal(err)
	}
	var text, want strings.Builder
	for i := range 25 {
		fmt.Fprintf(&want, "line %d\n", i+1)
	}
	kinds := map[string]int{}
	last := ""
	for output, err := range c.Output(t.Context(), accepted.ID, 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		kinds[output.Kind]++
		last = output.Kind
		text.Write(output.Data)
	}
	if diff := cmp.Diff(want.String(), text.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"state": 2, "stdout": 25, "end": 1}, kinds); diff != "" {
		t.Error(diff)
	}
	if last != client.OutputEnd {
		t.Errorf("last is %s, want the end", last)
	}
	resumed := 0
	for _, request := range gateway.Requests() {
		if request.LastEventID != "" {
			resumed++
		}
	}
	if resumed < 24 {
		t.Errorf("%d connections resumed, want one for nearly each of the 25 cuts", resumed)
	}
}

func TestOutputIsByteExact(t *testing.T) {
	_, c := start(t, "shop")
	accepted, err := c.Run(t.Context(), "shop", shell("bytes"), "")
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for output, err := range c.Output(t.Context(), accepted.ID, 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, output.Data...)
	}
	if string(got) != "\xff\x00\xfe" {
		t.Errorf("bytes %q", got)
	}
}

func TestEventsGoOnOverARestartOfTheGateway(t *testing.T) {
	gateway, c := start(t, "shop")
	for range 3 {
		if _, err := c.Run(t.Context(), "shop", shell("echo"), ""); err != nil {
			t.Fatal(err)
		}
	}
	var seqs []uint64
	for event, err := range c.Events(t.Context(), client.EventFilter{From: 2, Project: "shop"}) {
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, event.Seq)
		if len(seqs) == 4 {
			gateway.Fail(gatewaytest.Fault{Path: "/events"}, gatewaytest.Fault{Path: "/events", Status: 503})
			gateway.Server.CloseClientConnections()
		}
		if event.Seq == 9 {
			if event.Type != contract.TypeCompleted || event.Operation == nil || event.Entity != contract.EntityOperation {
				t.Errorf("event %+v, want the completion of an operation", event)
			}
			break
		}
	}
	if diff := cmp.Diff([]uint64{2, 3, 4, 5, 6, 7, 8, 9}, seqs); diff != "" {
		t.Error(diff)
	}
}

// streamOf serves one body for each connection, the last one over and over.
func streamOf(t *testing.T, bodies ...string) (*client.Client, *atomic.Int32) {
	t.Helper()
	var connections atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := int(connections.Add(1))
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_, _ = w.Write([]byte(bodies[min(n, len(bodies))-1]))
	}))
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{
		URL: server.URL, RetryDelay: time.Millisecond, Outage: 300 * time.Millisecond, Idle: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, &connections
}

func TestAServerThatRepeatsItselfIsNotHeardTwice(t *testing.T) {
	chunk := func(seq int) string {
		return fmt.Sprintf("id: %d\r\nevent: stdout\r\ndata: {\"offset\":0,\r\ndata: \"data\":\"%d \"}\r\n\r\n", seq, seq)
	}
	c, _ := streamOf(t,
		": hi\n\n"+chunk(3)+chunk(5)+"id: 9\nevent: stdout\ndata: {\"offset\":0,\"data\":\"cut",
		chunk(3)+chunk(5)+chunk(9)+"event: gap\ndata: {\"from\":10,\"to\":12}\n\n",
		"event: gap\ndata: {\"from\":10,\"to\":12}\n\n"+chunk(13)+"event: end\ndata: {\"state\":\"completed\"}\n\n")
	var got []string
	for output, err := range c.Output(t.Context(), "x", 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, output.Kind+" "+string(output.Data))
	}
	want := []string{"stdout 3 ", "stdout 5 ", "stdout 9 ", "gap ", "stdout 13 ", "end "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnIDWithoutDataMovesTheCursor(t *testing.T) {
	c, connections := streamOf(t, "id: 7\n\n", "id: 7\ndata: {\"seq\":7}\n\nid: 8\ndata: {\"seq\":8}\n\n")
	for event, err := range c.Events(t.Context(), client.EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if event.Seq != 8 {
			t.Errorf("event %d, want 8", event.Seq)
		}
		break
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestAStreamThatNeverComesBackIsGivenUp(t *testing.T) {
	c, connections := streamOf(t, "id: 1\nevent: stdout\ndata: {\"data\":\"a\"}\n\n", "event: state\ndata: {}\n\n")
	var err error
	for _, e := range c.Output(t.Context(), "x", 0, true) {
		err = e
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); !ok {
		t.Errorf("error %v, want an unreachable gateway", err)
	}
	if n := connections.Load(); n < 4 {
		t.Errorf("%d connections, want several tries", n)
	}
}

func TestARefusalInMidStreamIsReportedUnlessItMayPass(t *testing.T) {
	c, connections := streamOf(t, "id: 1\nevent: stdout\ndata: {\"data\":\"a\"}\n\nevent: error\ndata: {\"code\":\"UNAVAILABLE\"}\n\n",
		"event: error\ndata: {\"code\":\"CURSOR_EXPIRED\",\"detail\":\"gone\"}\n\n")
	var err error
	for _, e := range c.Output(t.Context(), "x", 0, true) {
		err = e
	}
	if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Code != "CURSOR_EXPIRED" {
		t.Errorf("error %v, want CURSOR_EXPIRED", err)
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestASilentStreamIsOpenedAgain(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if connections.Add(1) == 1 {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = w.Write([]byte("event: end\ndata: {\"state\":\"failed\"}\n\n"))
	}))
	defer server.Close()
	c, err := client.New(client.Config{URL: server.URL, RetryDelay: time.Millisecond, Idle: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for output, err := range c.Output(t.Context(), "x", 0, true) {
		if err != nil || output.Operation.State != contract.Failed {
			t.Errorf("output %+v, %v; want the end", output, err)
		}
	}
}

func TestAnExpiredCursorIsReported(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		_, _ = w.Write([]byte(`{"code":"CURSOR_EXPIRED","detail":"sequence 5 is gone"}`))
	}))
	defer server.Close()
	for _, err := range connect(t, server.URL, "").Output(t.Context(), "x", 5, true) {
		problem, ok := errors.AsType[*client.Problem](err)
		if !ok || problem.Code != "CURSOR_EXPIRED" {
			t.Errorf("error %v, want CURSOR_EXPIRED", err)
		}
	}
}
