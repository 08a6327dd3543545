package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/audit/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/audit/internal/app"
)

func TestTheTableIsTheFoldOfTheLogWhateverTheLogHolds(t *testing.T) {
	view := open(t)
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			h := newHistory(t, seed)
			for range 400 {
				h.anything()
			}
			reset(t, view)
			h.project(view, 1+h.random.IntN(120))
			compare(t, view, h)
		})
	}
}

// anything appends an event that may be legal, illegal or nonsense.
func (h *history) anything() {
	id := fmt.Sprintf("0192f3a1-0000-7000-8000-%012d", h.random.IntN(40))
	now, exists := h.now[id]
	at := epoch.Add(time.Duration(len(h.events)) * time.Second)
	attempt := now.Attempt + h.random.IntN(2)
	first := pending(id, at)
	if id[len(id)-1]%2 == 0 {
		first.Operation.Kind, first.Operation.Lane, first.Operation.Work = contract.KindWorkTest, contract.WorkLane(), &contract.Work{}
	}
	changes := []contract.Change{
		first,
		contract.OperationRetrying{Attempt: attempt, At: at, RunAt: at.Add(time.Minute), Failure: contract.NewFailure(contract.ClassUser, "exit 1")},
		contract.OperationRunning{Attempt: now.Attempt + 1, At: at},
		contract.OperationCancelRequested{},
		contract.OperationCompleted{Attempt: attempt, At: at},
		contract.OperationFailed{Attempt: attempt, At: at, Failure: contract.NewFailure(contract.ClassUser, "exit 1")},
		contract.OperationCancelled{At: at},
	}
	change := changes[h.random.IntN(len(changes))]
	var prev *contract.Operation
	if exists {
		prev = &now
	}
	snapshot, err := contract.Next(prev, change)
	if err != nil {
		snapshot = now // somebody writes without a guard what was true a while ago
		snapshot.ID, snapshot.Seq, snapshot.Rev = id, 0, now.Rev+h.random.IntN(2)
		snapshot.State = contract.State(change.Type())
	}
	body, err := json.Marshal(snapshot)
	if err != nil {
		h.t.Fatal(err)
	}
	switch h.random.IntN(20) {
	case 0:
		body = body[:len(body)/2]
	case 1:
		body = []byte(strings.Replace(string(body), `"rev":`, `"rev":1`, 1))
	case 2:
		h.add(contract.EntityProject, contract.TypeProjectCreated, "shop", []byte(`{"slug":"shop"}`))
	case 3:
		h.add(contract.EntityOperation, change.Type(), "another", body)
	}
	h.add(contract.EntityOperation, change.Type(), id, body)
}

func compare(t *testing.T, view postgres.View, h *history) {
	t.Helper()
	rows, err := view.Pool.Query(t.Context(), `select legal from operation_events order by seq`)
	if err != nil {
		t.Fatal(err)
	}
	legal, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h.legal, legal); diff != "" {
		t.Errorf("legal events (-want +got):\n%s", diff)
	}
	page, _, err := view.Newest(t.Context(), app.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]contract.Operation{}
	for _, op := range page {
		got[op.ID] = op
	}
	if diff := cmp.Diff(h.now, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	// The columns say what the snapshot says.
	var wrong int
	if err := view.Pool.QueryRow(t.Context(), `with o as (select o.*, e.data as doc from operations o join operation_events e on e.seq = o.last_seq)
		select count(*) from o where state <> doc->>'state'
		or rev <> (doc->>'rev')::int or attempt <> (doc->>'attempt')::int or kind <> doc->>'kind' or project <> doc->>'project'
		or cancel_requested <> (doc->>'cancel_requested')::boolean
		or abs(extract(epoch from finished_at - (doc->>'finished_at')::timestamptz)) > 0.000001
		or (finished_at is null) <> (doc->>'finished_at' is null)`).Scan(&wrong); err != nil {
		t.Fatal(err)
	}
	if wrong > 0 {
		t.Errorf("%d operations whose columns are not their snapshots'", wrong)
	}
}

func TestNothingThatAnybodyPublishesStopsTheProjection(t *testing.T) {
	snapshot := func(id, extra string) []byte {
		return []byte(`{"id":"` + id + `","kind":"command.shell","project":"shop","state":"pending","rev":1,"created_at":"2026-03-01T12:00:00Z"` + extra + `}`)
	}
	cases := map[string]app.Event{
		"no body":                     {Key: "a"},
		"no JSON":                     {Key: "a", Data: []byte("{")},
		"bytes":                       {Key: "a", Data: []byte{0xff, 0x00, 0xfe}},
		"a zero byte":                 {Key: "a", Data: snapshot("a", ",\"x\":\"\x00\"")},
		"an escaped zero":             {Key: "a", Data: snapshot("a", `,"request_hash":"\u0000"`)},
		"half a surrogate":            {Key: "a", Data: snapshot("a", `,"request_hash":"\ud800"`)},
		"no UTF-8 in a string":        {Key: "a", Data: snapshot("a", ",\"request_hash\":\"\xff\"")},
		"a number without end":        {Key: "a", Data: snapshot("a", `,"x":1e999999`)},
		"deeply nested":               {Key: "a", Data: snapshot("a", `,"x":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000))},
		"nested within a string":      {Key: "a", Data: snapshot("a", `,"request_hash":"\"`+strings.Repeat("[", 9000)+`"`)},
		"an endless project":          {Key: "a", Data: []byte(strings.Replace(string(snapshot("a", "")), "shop", strings.Repeat("é", 99_999), 1))},
		"zeros in columns":            {Key: "a", Data: []byte(strings.Replace(string(snapshot("a", "")), "shop", `\u0000`, 1))},
		"the year 0":                  {Key: "a", Data: []byte(strings.Replace(string(snapshot("a", "")), "2026", "0000", 1))},
		"the year 9999":               {Key: "a", Data: []byte(strings.Replace(string(snapshot("a", "")), "2026", "9999", 1))},
		"a revision out of range":     {Key: "a", Data: []byte(strings.Replace(string(snapshot("a", "")), `"rev":1`, `"rev":99999999999`, 1))},
		"an id of another":            {Key: "b", Data: snapshot("a", "")},
		"an id of bytes":              {Key: "\xff\x00", Data: snapshot("a", "")},
		"an endless id":               {Key: strings.Repeat("x", 3900), Data: snapshot(strings.Repeat("x", 3900), "")},
		"an unknown type":             {Key: "a", Type: "exploded", Data: snapshot("a", "")},
		"an unknown entity":           {Key: "a", Entity: "volcano", Data: snapshot("a", "")},
		"headers of bytes":            {Key: "a", Data: snapshot("a", ""), ID: "\xff", Actor: "\x00", Project: strings.Repeat("\xff", 5000), Headers: app.Headers{Traceparent: "\xff\x00", Source: "\u2028"}},
		"a time before all calendars": {Key: "a", Time: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), Data: snapshot("a", "")},
	}
	view := open(t)
	for name, poison := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t, 1)
			h.add(contract.EntityOperation, contract.TypePending, poison.Key, poison.Data)
			e := &h.events[0]
			e.Headers, e.ID, e.Actor, e.Project = poison.Headers, poison.ID, poison.Actor, poison.Project
			e.Time = poison.Time
			if poison.Type != "" {
				e.Type = poison.Type
			}
			if poison.Entity != "" {
				e.Entity = poison.Entity
			}
			h.happens("after", pending("after", epoch))
			reset(t, view)
			h.project(view, 10)
			var data, raw []byte
			if err := view.Pool.QueryRow(t.Context(), `select data, raw from operation_events where seq = 1`).Scan(&data, &raw); err != nil {
				t.Fatal(err)
			}
			if got := string(data) + string(raw); got != string(poison.Data) {
				t.Errorf("the body is kept as %q, want %q", got, poison.Data)
			}
			if _, _, err := view.Newest(t.Context(), app.Filter{Limit: 10}); err != nil {
				t.Error(err)
			}
			if _, found, err := view.Operation(t.Context(), "after"); err != nil || !found {
				t.Errorf("the event after it: found %t, %v", found, err)
			}
			if _, _, err := view.History(t.Context(), "a", 0); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABatchThatDoesNotFollowIsRefused(t *testing.T) {
	h := newHistory(t, 1)
	h.lives(2)
	view := open(t)
	h.project(view, 10)
	last := h.events[len(h.events)-1].Seq
	appendAfter := func(after uint64, events []app.Event) error {
		return view.Append(t.Context(), after, events, nil, func(map[string]contract.Operation) app.Folded {
			return app.Folded{Legal: make([]bool, len(events))}
		})
	}
	next := []app.Event{{Seq: last + 2, Entity: contract.EntityProject, Key: "shop", Data: []byte("{}")}}
	for _, after := range []uint64{0, last - 1, last + 1} {
		if err := appendAfter(after, next); !errors.Is(err, app.ErrMoved) {
			t.Errorf("a batch after %d where the view ends at %d: %v, want ErrMoved", after, last, err)
		}
	}
	if err := appendAfter(last, h.events); !errors.Is(err, app.ErrMoved) {
		t.Errorf("the same batch again: %v, want ErrMoved", err)
	}
	compare(t, view, h)
}
