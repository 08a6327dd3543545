package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func TestTheLogIsStreamedFromNowOnOrFromACursor(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "blog")
	old := w.run("shop")

	now := w.open("/events", "")
	if !now.lines.Scan() || !strings.HasPrefix(now.lines.Text(), "id: ") {
		t.Fatalf("the stream begins with %q", now.lines.Text())
	}
	op := w.run("blog")
	w.begin(op.ID)
	w.complete(op.ID)
	take := func(s *stream, n int) (types []string, last frame) {
		t.Helper()
		for range n {
			f, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			types, last = append(types, f.Event), f
		}
		return types, last
	}
	types, last := take(now, 3)
	if want := []string{"operation.pending", "operation.running", "operation.completed"}; !slices.Equal(types, want) {
		t.Errorf("from now on %q, want %q", types, want)
	}
	var event struct {
		Seq                                   uint64
		ID, Type, Entity, Key, Actor, Project string
		Source                                string
		Time                                  time.Time
		Data                                  contract.Operation
	}
	if err := json.Unmarshal(last.Data, &event); err != nil {
		t.Fatal(err)
	}
	if event.Seq != last.ID || event.Type != "operation.completed" || event.Entity != "operation" || event.Key != op.ID || event.ID == "" ||
		event.Actor != "service:executor" || !strings.HasPrefix(event.Source, "/rdev/executor/") || event.Project != "blog" || event.Time.IsZero() || event.Data.State != contract.Completed {
		t.Errorf("event %+v", event)
	}

	all := []string{"key.created", "project.created", "project.created", "operation.pending", "operation.pending", "operation.running", "operation.completed"}
	for _, from := range []string{"0", "1"} {
		if types, _ := take(w.open("/events?from_seq="+from, ""), 7); !slices.Equal(types, all) {
			t.Errorf("from %s: %q", from, types)
		}
	}
	if types, _ := take(w.open("/events?from_seq=1", strconv.FormatUint(old.Seq, 10)), 3); !slices.Equal(types, all[4:]) {
		t.Errorf("after %d: %q", old.Seq, types)
	}
	for filter, want := range map[string][]string{
		"type=project.*":                    all[1:3],
		"type=operation.pending":            all[3:5],
		"project=blog":                      {"project.created", "operation.pending", "operation.running", "operation.completed"},
		"project=blog&type=operation.*":     all[4:],
		"project=shop&type=project.created": {"project.created"},
		"type=*":                            all,
	} {
		s := w.open("/events?from_seq=1&"+filter, "")
		if types, _ := take(s, len(want)); !slices.Equal(types, want) {
			t.Errorf("%s: %q, want %q", filter, types, want)
		}
	}
	beyond := fmt.Sprintf("/events?from_seq=%d", w.stored()+2)
	w.get(beyond).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest)
}

func TestAnOperationIsReadAsItWas(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "blog")
	op := w.run("shop")
	running := w.begin(op.ID)
	w.run("blog") // between the two
	ended := w.complete(op.ID)
	path := "/operations/" + op.ID
	for seq, want := range map[uint64]contract.State{
		op.Seq: contract.Pending, running.Seq: contract.Running, running.Seq + 1: contract.Running,
		ended.Seq: contract.Completed, ended.Seq + 100: contract.Completed,
	} {
		got := w.get(fmt.Sprintf("%s?as_of_seq=%d", path, seq)).operation(t, http.StatusOK)
		if got.State != want || got.Seq > seq {
			t.Errorf("as of %d: %s at %d, want %s", seq, got.State, got.Seq, want)
		}
	}
	for _, early := range []uint64{0, op.Seq - 1} {
		w.get(fmt.Sprintf("%s?as_of_seq=%d", path, early)).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}

	var history struct {
		Events []struct {
			Seq         uint64
			Type, Actor string
			Time        time.Time
			Ignored     bool
			Operation   operation
		}
	}
	w.get(path+"/events").decode(t, http.StatusOK, &history)
	want := []contract.Operation{op.Operation, running, ended}
	if len(history.Events) != 3 {
		t.Fatalf("%d events", len(history.Events))
	}
	for i, e := range history.Events {
		if e.Seq != want[i].Seq || e.Operation.State != want[i].State || e.Type != string(want[i].State) || e.Actor == "" || e.Time.IsZero() || e.Ignored {
			t.Errorf("event %d: %+v", i, e)
		}
	}
}

func TestWhatWasPublishedPastTheGuardIsShownAsIgnored(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.run("shop")
	w.begin(op.ID)
	w.complete(op.ID)
	for _, body := range []string{`no JSON`, `{"id":"` + op.ID + `","state":"running","rev":4,"attempt":2}`} {
		if _, err := w.conn.JetStream().Publish(t.Context(), contract.AppendSubject("operation", "running", op.ID), []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	var history struct {
		Events []struct {
			Ignored   bool
			Operation *operation
		}
	}
	w.get("/operations/"+op.ID+"/events").decode(t, http.StatusOK, &history)
	for i, e := range history.Events {
		if e.Ignored != (i > 2) || (e.Operation == nil) != (i == 3) {
			t.Errorf("event %d: ignored %v, operation %v", i, e.Ignored, e.Operation)
		}
	}
	got := w.get(fmt.Sprintf("/operations/%s?as_of_seq=%d", op.ID, w.stored())).operation(t, http.StatusOK)
	if got.State != contract.Completed {
		t.Errorf("it is %s", got.State)
	}
}
