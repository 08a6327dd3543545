package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// running is a build whose three steps run: two of a matrix, and one more. write appends
// to the output of a step.
func (w *world) running() (build operation, write func(step int, stream, data string)) {
	w.t.Helper()
	w.ready("shop")
	w.workers("w1", "w2", "w3")
	build = w.build("shop", `
name: ci
steps:
  - {name: test, run: echo SECRET-SCRIPT, matrix: {OS: [linux, darwin]}}
  - {name: lint, run: echo SECRET-SCRIPT}
`)
	w.steps(build.ID, "test@linux=running test@darwin=running lint=running")
	var writers []*writer
	for i := range 3 {
		id := contract.StepOperation(build.ID, i)
		testkit.Eventually(w.t, func() error {
			_, err := w.conn.Load(w.t.Context(), id)
			return err
		})
		op, mine := w.beginWork(contract.RunOperation{Operation: id, Worker: "w" + strconv.Itoa(i+1)})
		if !mine {
			w.t.Fatalf("step %d is %+v", i, op)
		}
		writers = append(writers, w.writer(op))
	}
	return build, func(step int, stream, data string) { w.t.Helper(); writers[step].write(stream, data) }
}

func (w *world) finishSteps(build string) contract.Operation {
	w.t.Helper()
	for i := range 3 {
		w.finish(contract.StepOperation(build, i), contract.Completed)
	}
	return w.buildEnds(build)
}

// stepFrame is what the frames of a build have in their data.
type stepFrame struct {
	Step, Operation, Data, Encoding string
	Seq                             int
	Build                           *contract.Build
	State                           contract.State
	From, To                        uint64
}

func (f frame) ofStep(t *testing.T) stepFrame {
	t.Helper()
	var data stepFrame
	if err := json.Unmarshal(f.Data, &data); err != nil {
		t.Fatalf("%v in %s", err, f.Data)
	}
	return data
}

// chunks are the frames that have an id.
func chunks(frames []frame) []frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f frame) bool { return f.ID == 0 })
}

func sameFrames(a, b []frame) bool {
	return slices.EqualFunc(a, b, func(a, b frame) bool { return a.ID == b.ID && a.Event == b.Event && string(a.Data) == string(b.Data) })
}

func TestTheOutputOfABuildIsOneStreamWithOneCursor(t *testing.T) {
	w := newWorld(t)
	build, write := w.running()
	path := "/builds/" + build.ID + "/output"
	write(0, "stdout", "one\n")
	write(2, "stderr", "oh\n")
	live := w.open(path, "")
	first, err := live.next()
	if err != nil || first.Event != "state" || first.ID != 0 {
		t.Fatalf("the first frame is %+v, %v", first, err)
	}
	write(1, "stdout", "\xff")
	write(2, "agent", `{"seq":1,"type":"text","text":"a"}`)
	write(0, "stdout", "two")
	w.finish(contract.StepOperation(build.ID, 0), contract.Completed)
	w.steps(build.ID, "test@linux=completed test@darwin=running lint=running")
	write(1, "stdout", "three\n")
	w.finishSteps(build.ID)

	got := live.rest()
	var said []string
	var last uint64
	for _, f := range got {
		data := f.ofStep(t)
		switch f.Event {
		case "state", "end":
			if f.ID != 0 || len(data.Build.Steps) != 3 || strings.Contains(string(f.Data), "SECRET-SCRIPT") {
				t.Errorf("%s %s", f.Event, f.Data)
			}
			if f.Event == "end" && data.State != contract.Completed {
				t.Errorf("the end is %s", f.Data)
			}
			// What has ended has said all.
			if data.Build.Steps[0].State.Ended() && !slices.Contains(said, "test@linux stdout two") {
				t.Errorf("a state after %q: %s", said, f.Data)
			}
			continue
		}
		if f.ID <= last {
			t.Errorf("id %d after %d", f.ID, last)
		}
		last = f.ID
		i := slices.IndexFunc(build.Build.Steps, func(s contract.BuildStep) bool { return s.Name == data.Step })
		if i < 0 || data.Operation != contract.StepOperation(build.ID, i) {
			t.Errorf("a frame of %q, operation %s", data.Step, data.Operation)
		}
		if f.Event == "agent" {
			data.Data = strconv.Itoa(data.Seq)
		}
		said = append(said, strings.TrimSpace(data.Step+" "+f.Event+" "+data.Data))
	}
	want := []string{"test@linux stdout one", "lint stderr oh", "test@darwin stdout /w==", "lint agent 1", "test@linux stdout two", "test@darwin stdout three"}
	if !slices.Equal(said, want) || got[len(got)-1].Event != "end" {
		t.Errorf("frames %q, want %q", said, want)
	}

	// From every cursor, over SSE and WebSocket.
	all := chunks(got)
	for i, f := range all {
		cursor := strconv.FormatUint(f.ID, 10)
		if rest := chunks(w.open(path, cursor).rest()); !sameFrames(rest, all[i+1:]) {
			t.Errorf("after %s: %q, want %q", cursor, events(rest), events(all[i+1:]))
		}
		if rest := chunks(w.open(path+"?from_seq="+cursor, "").rest()); !sameFrames(rest, all[i:]) {
			t.Errorf("from %s: %q, want %q", cursor, events(rest), events(all[i:]))
		}
	}
	if rest := w.overWebSocket(path+"/ws", all[1].ID); !sameFrames(chunks(rest), all[2:]) || rest[len(rest)-1].Event != "end" {
		t.Errorf("over a WebSocket: %q", events(rest))
	}

	// Only some steps.
	for step, want := range map[string]string{"test@linux": "one two", "test": "one /w== two three", "lint": "oh "} {
		rest := chunks(w.open(path+"?step="+step, "").rest())
		var text []string
		for _, f := range rest {
			text = append(text, strings.TrimSpace(f.ofStep(t).Data))
		}
		if strings.Join(text, " ") != want {
			t.Errorf("of %s: %q, want %q", step, text, want)
		}
	}
	w.get(path+"?step=none").problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "step")
	w.get(path+"?follow=no").problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "follow")
	w.get("/builds/"+contract.StepOperation(build.ID, 0)+"/output").problem(t, http.StatusNotFound, contract.CodeNotFound)

	plain := w.send(call{method: http.MethodGet, path: path, header: map[string]string{"Accept": "text/plain"}})
	wantText := "[test@linux] one\n[lint] oh\n[lint] {\"seq\":1,\"type\":\"text\",\"text\":\"a\"}\n[test@darwin] \xffthree\n[test@linux] two\n"
	if string(plain.body) != wantText || plain.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("plain %q, want %q", plain.body, wantText)
	}

	// One step alone is an operation as any other.
	alone := w.open("/operations/"+contract.StepOperation(build.ID, 0)+"/output", "").rest()
	if all := text(t, alone, "stdout"); all != "one\ntwo" {
		t.Errorf("the first step alone: %q", all)
	}
}

// overWebSocket are the frames after a cursor, up to the end.
func (w *world) overWebSocket(path string, after uint64) []frame {
	w.t.Helper()
	header := http.Header{"X-Api-Key": {w.key}, "Last-Event-ID": {strconv.FormatUint(after, 10)}}
	conn, _, err := websocket.Dial( //nolint:bodyclose // the body belongs to the connection
		w.t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+path, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	var got []frame
	for {
		_, body, err := conn.Read(w.t.Context())
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return got
		}
		if err != nil {
			w.t.Fatal(err)
		}
		var f frame
		if err := json.Unmarshal(body, &f); err != nil {
			w.t.Fatal(err)
		}
		got = append(got, f)
	}
}

func TestOfABuildThatGoesOnIsToldWhatThereIs(t *testing.T) {
	w := newWorld(t)
	build, write := w.running()
	write(1, "stdout", "half a line")
	whole := w.open("/operations/"+build.ID+"/output?follow=false", "").rest()
	if len(whole) != 2 || !strings.Contains(string(whole[0].Data), "SECRET-SCRIPT") {
		t.Errorf("of the operation %q", events(whole))
	}
	path := "/builds/" + build.ID + "/output?follow=false"
	got := w.open(path, "").rest()
	if !slices.Equal(events(got), []string{"state", "stdout", "end"}) || strings.Contains(string(got[0].Data), "SECRET-SCRIPT") {
		t.Errorf("frames %q, %s", events(got), got[0].Data)
	}
	plain := w.send(call{method: http.MethodGet, path: path, header: map[string]string{"Accept": "text/plain"}})
	if string(plain.body) != "[test@darwin] half a line\n" {
		t.Errorf("plain %q", plain.body)
	}
}

func TestTheCursorOfABuildExpiresAndItsGapsNameTheStep(t *testing.T) {
	w := newWorld(t)
	build, write := w.running()
	for i := range 9 {
		write(i%3, "stdout", fmt.Sprintln(i))
	}
	w.finishSteps(build.ID)
	path := "/builds/" + build.ID + "/output"
	all := chunks(w.open(path, "").rest())
	stream, err := w.conn.JetStream().Stream(t.Context(), contract.StreamOutput)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), all[4].ID); err != nil {
		t.Fatal(err)
	}
	after := func(i int) answer {
		return w.send(call{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": strconv.FormatUint(all[i].ID, 10)}})
	}
	after(3).problem(t, http.StatusGone, contract.CodeCursorExpired)
	if a := after(4); a.status != http.StatusOK {
		t.Errorf("after what is gone itself: %d %s", a.status, a.body)
	}
	rest := w.open(path, "").rest()
	at := slices.IndexFunc(rest, func(f frame) bool { return f.Event == "gap" })
	if at < 0 {
		t.Fatalf("frames %q", events(rest))
	}
	if gap := rest[at].ofStep(t); gap.Step != "test@darwin" || gap.Operation != contract.StepOperation(build.ID, 1) ||
		gap.From != all[1].ID+1 || gap.To != all[4].ID || rest[at+1].ID != all[7].ID {
		t.Errorf("gap %s before %d", rest[at].Data, rest[at+1].ID)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(all[8].ID)); err != nil {
		t.Fatal(err)
	}
	after(6).problem(t, http.StatusGone, contract.CodeCursorExpired)
}

func TestTheLogForgetsABuildAndItsOutputEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	build, write := w.running()
	write(0, "stdout", "one\n")
	ended := w.finishSteps(build.ID)
	serve(w, contract.ServiceAudit, contract.VerbGetOperation, func(contract.GetOperation) (contract.Operation, error) { return ended, nil })
	w.purge(contract.StreamEvents)
	if got := w.open("/builds/"+build.ID+"/output", "").rest(); len(got) != 1 || got[0].Event != "end" || got[0].ofStep(t).State != contract.Completed {
		t.Errorf("frames %q", events(got))
	}
}
