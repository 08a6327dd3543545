package gateway_test

import (
	"net/http"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

func TestEveryEventOfAnOperationCarriesTheTraceOfItsRequest(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for header, want := range map[string]string{trace: trace, "nonsense": ""} {
		op := w.send(call{
			method: http.MethodPost, path: "/projects/shop/commands", body: `{"kind":"shell","argv":["true"]}`,
			header: map[string]string{"traceparent": header},
		}).operation(t, http.StatusAccepted)
		w.begin(op.ID)
		w.complete(op.ID)
		events, err := w.conn.History(t.Context(), contract.EntityOperation, op.ID, 0)
		if err != nil || len(events) != 3 {
			t.Fatalf("%d events, %v; want 3", len(events), err)
		}
		for _, e := range events {
			if got := e.Header.Get(contract.HeaderTraceparent); got != want {
				t.Errorf("%s carries the trace %q, want %q", e.Type, got, want)
			}
		}
	}
}
