package gateway_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// frame is one message of a stream.
type frame struct {
	ID    uint64          `json:"id"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// stream reads server-sent events as a client does.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	beats  int
	hangUp func()
	header http.Header
}

func (w *world) open(path, lastEventID string) *stream {
	w.t.Helper()
	return w.openWith(w.key, path, lastEventID)
}

// openAs is open with another key.
func (w *world) openAs(key, path string) *stream {
	w.t.Helper()
	return w.openWith(key, path, "")
}

func (w *world) openWith(key, path, lastEventID string) *stream {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("X-API-Key", key)
	request.Header.Set("Accept", "text/event-stream")
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(response.Body)
		w.t.Fatalf("status %d, %s", response.StatusCode, body)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return &stream{t: w.t, lines: lines, hangUp: cancel, header: response.Header}
}

// next is the next frame, or io.EOF. It counts comments on the way.
func (s *stream) next() (frame, error) {
	var f frame
	for s.lines.Scan() {
		line := s.lines.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && f.Event != "":
			return f, nil
		case line == "":
		case strings.HasPrefix(line, ":"):
			s.beats++
		case name == "id":
			f.ID, _ = strconv.ParseUint(value, 10, 64)
		case name == "event":
			f.Event = value
		case name == "data" && json.Valid([]byte(value)):
			f.Data = json.RawMessage(value)
		default:
			s.t.Errorf("line %q is no SSE", line)
		}
	}
	if err := s.lines.Err(); err != nil {
		return f, err
	}
	return f, io.EOF
}

// rest are the frames up to the end of the stream.
func (s *stream) rest() []frame {
	s.t.Helper()
	var frames []frame
	for {
		f, err := s.next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			s.t.Fatal(err)
		}
		frames = append(frames, f)
	}
}

// writer appends output to an operation, as an executor does.
type writer struct {
	w      *world
	out    *bus.OutputWriter
	offset map[string]int64
	cursor int64
}

func (w *world) writer(op contract.Operation) *writer {
	w.t.Helper()
	out, err := w.conn.OpenOutput(w.t.Context(), op)
	if err != nil {
		w.t.Fatal(err)
	}
	return &writer{w: w, out: out, offset: map[string]int64{}}
}

func (p *writer) write(name, data string) {
	p.w.t.Helper()
	p.cursor++
	chunk := contract.Chunk{Stream: name, Offset: p.offset[name], Cursor: p.cursor, Attempt: 1, Data: []byte(data)}
	if err := p.out.Write(p.w.t.Context(), chunk); err != nil {
		p.w.t.Fatal(err)
	}
	p.offset[name] += int64(len(data))
}

// printed is an operation that runs and has printed something of everything.
func (w *world) printed() (contract.Operation, *writer) {
	w.t.Helper()
	w.ready("shop")
	op := w.begin(w.run("shop").ID)
	out := w.writer(op)
	out.write("stdout", "one\n")
	out.write("stderr", "oh: \"<&>\"\u2028\n")
	out.write("stdout", "\xff\x00two")
	out.write("agent", "{\"seq\":1,\n \"type\":\"text\",\"text\":\"a\\nb\"}")
	out.write("stdout", "three\n")
	return op, out
}

// text puts the frames of one stream together, and checks the offsets.
func text(t *testing.T, frames []frame, name string) string {
	t.Helper()
	var all string
	for _, f := range frames {
		if f.Event != name {
			continue
		}
		var data struct {
			Offset         int
			Data, Encoding string
		}
		if err := json.Unmarshal(f.Data, &data); err != nil {
			t.Fatal(err)
		}
		if data.Offset != len(all) {
			t.Errorf("%s at offset %d, want %d", name, data.Offset, len(all))
		}
		if data.Encoding == "base64" {
			raw, err := base64.StdEncoding.DecodeString(data.Data)
			if err != nil {
				t.Fatal(err)
			}
			data.Data = string(raw)
		}
		all += data.Data
	}
	return all
}

func events(frames []frame) []string {
	var names []string
	for _, f := range frames {
		names = append(names, f.Event)
	}
	return names
}

func TestOutputIsStreamedInOrderAndEndsWithTheEnd(t *testing.T) {
	w := newWorld(t)
	op, out := w.printed()
	live := w.open("/operations/"+op.ID+"/output", "")
	first, err := live.next()
	if err != nil || first.Event != "state" || first.ID != 0 {
		t.Fatalf("the first frame is %+v, %v", first, err)
	}
	out.write("stdout", "four\n")
	w.change(op.ID, func(contract.Operation) contract.Change { return contract.OperationCancelRequested{} })
	ended := w.complete(op.ID)

	got := live.rest()
	want := []string{"stdout", "stderr", "stdout", "agent", "stdout", "stdout", "state", "end"}
	names := events(got)
	// A change of state and the output beside it come in any order.
	if i := slices.Index(names, "state"); i >= 0 {
		names = append(slices.Delete(names, i, i+1)[:len(names)-2], "state", "end")
	}
	if !slices.Equal(names, want) {
		t.Errorf("frames %q, want %q", events(got), want)
	}
	if all := text(t, got, "stdout"); all != "one\n\xff\x00twothree\nfour\n" {
		t.Errorf("stdout %q", all)
	}
	if all := text(t, got, "stderr"); all != "oh: \"<&>\"\u2028\n" {
		t.Errorf("stderr %q", all)
	}
	var last uint64
	for _, f := range got {
		if carries := f.Event != "state" && f.Event != "end"; carries != (f.ID > 0) || carries && f.ID <= last {
			t.Errorf("frame %s has id %d after %d", f.Event, f.ID, last)
		}
		last = max(last, f.ID)
	}
	var end operation
	if err := json.Unmarshal(got[len(got)-1].Data, &end); err != nil || end.State != contract.Completed || end.Seq != ended.Seq || end.Links.Self == "" {
		t.Errorf("the end is %+v, %v", end, err)
	}

	for _, accept := range []string{"text/plain", "text/plain, */*"} {
		a := w.send(call{method: http.MethodGet, path: "/operations/" + op.ID + "/output", header: map[string]string{"Accept": accept}})
		if want := "one\noh: \"<&>\"\u2028\n\xff\x00two{\"seq\":1,\n \"type\":\"text\",\"text\":\"a\\nb\"}\nthree\nfour\n"; string(a.body) != want {
			t.Errorf("plain %q, want %q", a.body, want)
		}
		if media := a.header.Get("Content-Type"); media != "text/plain; charset=utf-8" {
			t.Errorf("media type %q", media)
		}
	}
}

func TestAStreamThatIsCutGoesOnWithoutLossOrDoubling(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.begin(w.run("shop").ID)
	out := w.writer(op)
	const chunks = 300
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range chunks {
			out.write("stdout", fmt.Sprintf("%d\n", i))
		}
		w.complete(op.ID)
	}()
	var got []frame
	for cut := 1; ; cut++ {
		cursor := ""
		if len(got) > 0 {
			cursor = strconv.FormatUint(got[len(got)-1].ID, 10)
		}
		s := w.open("/operations/"+op.ID+"/output", cursor)
		ended := false
		for n := 0; n < 10*cut; {
			f, err := s.next()
			if err != nil {
				break
			}
			if f.Event == "stdout" {
				got, n = append(got, f), n+1
			}
			ended = f.Event == "end"
		}
		s.hangUp()
		if ended {
			break
		}
	}
	<-done
	var want strings.Builder
	for i := range chunks {
		fmt.Fprintf(&want, "%d\n", i)
	}
	if all := text(t, got, "stdout"); all != want.String() || len(got) != chunks {
		t.Errorf("%d frames, %d bytes, want %d and %d", len(got), len(all), chunks, want.Len())
	}

	// from_seq is the first that is wanted; Last-Event-ID wins.
	from := got[chunks-2].ID
	path := fmt.Sprintf("/operations/%s/output?from_seq=%d", op.ID, from)
	if rest := w.open(path, "").rest(); len(rest) != 3 || rest[0].ID != from || rest[2].Event != "end" {
		t.Errorf("from %d: %q", from, events(rest))
	}
	if rest := w.open(path, strconv.FormatUint(from, 10)).rest(); len(rest) != 2 || rest[0].ID <= from {
		t.Errorf("after %d: %q", from, events(rest))
	}
	if rest := w.open("/operations/"+op.ID+"/output?from_seq=0", "").rest(); len(rest) != chunks+1 {
		t.Errorf("from 0: %d frames", len(rest))
	}
}

func TestAQuietStreamSaysThatItIsAlive(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	op := w.begin(w.run("shop").ID)
	s := w.open("/operations/"+op.ID+"/output", "")
	if _, err := s.next(); err != nil {
		t.Fatal(err)
	}
	for quiet := true; quiet && s.lines.Scan(); {
		quiet = !strings.HasPrefix(s.lines.Text(), ":")
	}
	w.complete(op.ID)
	if rest := s.rest(); len(rest) != 1 || rest[0].Event != "end" {
		t.Errorf("frames %q", events(rest))
	}
	if s.header.Get("Cache-Control") != "no-store" {
		t.Error("a stream may be cached")
	}
}

func TestACursorWhoseSuccessorIsGoneHasExpired(t *testing.T) {
	w := newWorld(t)
	op, _ := w.printed()
	w.complete(op.ID)
	all := w.open("/operations/"+op.ID+"/output", "").rest()
	stream, err := w.conn.JetStream().Stream(t.Context(), contract.StreamOutput)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(all[2].ID)); err != nil {
		t.Fatal(err)
	}
	path := "/operations/" + op.ID + "/output"
	first := strconv.FormatUint(all[0].ID, 10)
	a := w.send(call{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": first}})
	a.problem(t, http.StatusGone, contract.CodeCursorExpired)

	// Without a cursor what is gone is told.
	rest := w.open(path, "").rest()
	if got, want := events(rest), []string{"gap", "stdout", "agent", "stdout", "end"}; !slices.Equal(got, want) {
		t.Fatalf("frames %q, want %q", got, want)
	}
	if want := fmt.Sprintf(`{"from":1,"to":%d}`, all[1].ID); string(rest[0].Data) != want {
		t.Errorf("gap %s, want %s", rest[0].Data, want)
	}
}

func TestTheWebSocketSendsTheSameFrames(t *testing.T) {
	w := newWorld(t)
	op, _ := w.printed()
	w.complete(op.ID)
	want := w.open("/operations/"+op.ID+"/output", "").rest()
	dial := func(header string) []frame {
		options := &websocket.DialOptions{HTTPHeader: http.Header{"X-Api-Key": {w.key}}}
		if header != "" {
			options.HTTPHeader.Set("Last-Event-ID", header)
		}
		conn, _, err := websocket.Dial( //nolint:bodyclose // the body belongs to the connection
			t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+"/operations/"+op.ID+"/output/ws", options)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(1 << 20)
		var got []frame
		for {
			_, body, err := conn.Read(t.Context())
			if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
				return got
			}
			if err != nil {
				t.Fatal(err)
			}
			var f frame
			if err := json.Unmarshal(body, &f); err != nil {
				t.Fatal(err)
			}
			got = append(got, f)
		}
	}
	same := func(a, b frame) bool { return a.ID == b.ID && a.Event == b.Event && string(a.Data) == string(b.Data) }
	if got := dial(""); !slices.EqualFunc(got, want, same) {
		t.Errorf("frames %q, want %q", events(got), events(want))
	}
	if got := dial(strconv.FormatUint(want[1].ID, 10)); !slices.EqualFunc(got, want[2:], same) {
		t.Errorf("after the second: %q, want %q", events(got), events(want[2:]))
	}
	unknown := "/operations/0192d3c4-0000-7000-8000-000000000000/output/ws"
	if a := w.get(unknown); a.status == http.StatusSwitchingProtocols || a.status == http.StatusOK {
		t.Errorf("an unknown operation answers %d", a.status)
	}
	if a := w.get("/operations/" + op.ID + "/output/ws"); a.status != http.StatusUpgradeRequired {
		t.Errorf("a plain GET answers %d", a.status)
	}
}

func TestAGatewayThatStopsBreaksStreamsOff(t *testing.T) {
	w := newWorld(t)
	op, _ := w.printed()
	output := w.open("/operations/"+op.ID+"/output", "")
	log := w.open("/events?from_seq=1", "")
	if _, err := output.next(); err != nil {
		t.Fatal(err)
	}
	if _, err := log.next(); err != nil {
		t.Fatal(err)
	}
	w.stop()
	for _, f := range append(output.rest(), log.rest()...) {
		if f.Event == "end" || f.Event == "error" {
			t.Errorf("the stream says %s %s, and its client would not resume", f.Event, f.Data)
		}
	}
}
