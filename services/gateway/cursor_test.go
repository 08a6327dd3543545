package gateway_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

func TestACursorOfOneThatRunsExpiresBeforeTheStreamBegins(t *testing.T) {
	w := newWorld(t)
	op, _ := w.printed()
	s := w.open("/operations/"+op.ID+"/output", "")
	var all []frame
	for range 6 {
		f, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	stream, err := w.conn.JetStream().Stream(t.Context(), contract.StreamOutput)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(all[3].ID)); err != nil {
		t.Fatal(err)
	}
	path := "/operations/" + op.ID + "/output"
	a := w.send(call{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": strconv.FormatUint(all[1].ID, 10)}})
	a.problem(t, http.StatusGone, contract.CodeCursorExpired)
	if err := stream.DeleteMsg(t.Context(), all[4].ID); err != nil {
		t.Fatal(err)
	}
	w.complete(op.ID)
	rest := w.open(path, "").rest()
	if got, want := events(rest), []string{"gap", "stdout", "gap", "stdout", "end"}; !slices.Equal(got, want) {
		t.Errorf("frames %q, want %q", got, want)
	}
}
