package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// errServerStops ends streams when the gateway does. Their clients resume.
var errServerStops = errors.New("the gateway stops")

// streaming is ctx for a stream: done when the client is gone or the gateway stops.
func (h *handlers) streaming(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(h.stopping, func() { cancel(errServerStops) })
	return ctx, func() { stop(); cancel(nil) }
}

// cursorOf is where a stream goes on: Last-Event-ID, or from_seq, which names
// the first sequence that is wanted.
func cursorOf(r *http.Request) (after uint64, err error) {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if after, err = strconv.ParseUint(last, 10, 63); err != nil {
			return 0, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "Last-Event-ID must be an id of this stream"}
		}
		return after, nil
	}
	from, err := queryUint(r, "from_seq")
	return from - min(from, 1), err
}

func (h *handlers) streamOutput(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	after, err := cursorOf(r)
	if err != nil {
		return err
	}
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "text/plain") && !strings.Contains(accept, "text/event-stream") {
		return h.plainOutput(w, r, id, after)
	}
	var to sseLater
	to.w = w
	return h.follow(r, id, after, &to)
}

// sseLater begins the response with the first frame, so that what is wrong with
// the request can still be answered as a problem.
type sseLater struct {
	w http.ResponseWriter
	s *sse
}

func (l *sseLater) begun() bool { return l.s != nil }

func (l *sseLater) begin() *sse {
	if l.s == nil {
		l.s = newSSE(l.w)
	}
	return l.s
}

func (l *sseLater) send(f frame) error { return l.begin().send(f) }
func (l *sseLater) beat() error        { return l.begin().beat() }

// follow streams an operation's output to its end. An error before the first
// frame is returned; after it the stream just breaks off, and the client resumes.
func (h *handlers) follow(r *http.Request, id string, after uint64, to *sseLater) error {
	ctx, done := h.streaming(r)
	defer done()
	frames := outputFrames{to: to}
	op, err := h.log.FollowOutput(ctx, id, after, heartbeat, frames)
	if err == nil {
		return ignoreLost(frames.end(op))
	}
	if !to.begun() {
		return err
	}
	if problem := problemOf(err); problem != nil {
		return ignoreLost(frames.problem(problem))
	}
	return nil
}

// ignoreLost drops the error of a client that has gone.
func ignoreLost(error) error { return nil }

// plainOutput writes stdout and stderr as the command did, and an agent's events
// as JSON lines, until the operation has ended.
func (h *handlers) plainOutput(w http.ResponseWriter, r *http.Request, id string, after uint64) error {
	ctx, done := h.streaming(r)
	defer done()
	plain := &plainSink{w: w, control: http.NewResponseController(w)}
	_, err := h.log.FollowOutput(ctx, id, after, heartbeat, plain)
	if plain.begun {
		return nil
	}
	if err == nil {
		plain.begin()
	}
	return err
}

type plainSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (p *plainSink) begin() {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		p.w.Header().Set("X-Content-Type-Options", "nosniff")
		p.w.WriteHeader(http.StatusOK)
	}
}

func (p *plainSink) Chunk(c contract.Chunk) error {
	p.begin()
	data := c.Data
	if c.Stream == contract.OutputAgent {
		data = append(data[:len(data):len(data)], '\n')
	}
	return p.write(data)
}

func (p *plainSink) write(data []byte) error {
	if err := p.control.SetWriteDeadline(time.Now().Add(timeoutStalled)); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	if _, err := p.w.Write(data); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	if err := p.control.Flush(); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}

func (p *plainSink) State(contract.Operation) error { return nil }

func (p *plainSink) Gap(after, before uint64) error {
	p.begin()
	return p.write(fmt.Appendf(nil, "\n[output %d to %d is not kept any more]\n", after, before))
}

func (p *plainSink) Idle() error { return nil }

// streamOutputWS is streamOutput over a WebSocket: the same frames as JSON.
func (h *handlers) streamOutputWS(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	after, err := cursorOf(r)
	if err != nil {
		return err
	}
	if _, err := h.load(r.Context(), id); err != nil {
		return err
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil //nolint:nilerr // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }() // closed already where all went well
	ctx, done := h.streaming(r)
	defer done()
	ctx = conn.CloseRead(ctx)
	frames := outputFrames{to: &webSocket{conn: conn, ctx: ctx}}
	op, err := h.log.FollowOutput(ctx, id, after, heartbeat, frames)
	switch problem := problemOf(err); {
	case err == nil:
		err = frames.end(op)
	case problem != nil:
		err = frames.problem(problem)
	}
	if err == nil {
		_ = conn.Close(websocket.StatusNormalClosure, "the operation has ended") // the client has gone
	}
	return nil
}

type webSocket struct {
	conn *websocket.Conn
	ctx  context.Context
}

func (s *webSocket) send(f frame) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode frame: %w", err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeoutStalled)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, body); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}

func (s *webSocket) beat() error {
	ctx, cancel := context.WithTimeout(s.ctx, timeoutStalled)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	return nil
}

// eventData is the data of a frame of GET /events.
type eventData struct {
	Seq     uint64          `json:"seq"`
	ID      string          `json:"id"`
	Type    string          `json:"type"` // operation.completed, project.created, …
	Entity  string          `json:"entity"`
	Key     string          `json:"key"` // id of the entity
	Time    time.Time       `json:"time"`
	Actor   string          `json:"actor"`
	Project string          `json:"project,omitempty"`
	Data    json.RawMessage `json:"data"` // the entity after the event
}

// streamEvents streams the log: from a sequence, or from now on.
func (h *handlers) streamEvents(w http.ResponseWriter, r *http.Request) error {
	after, err := cursorOf(r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	if r.Header.Get("Last-Event-ID") == "" && !query.Has("from_seq") {
		if after, err = h.log.LastEvent(r.Context()); err != nil {
			return err
		}
	}
	wanted := eventFilter{pattern: query.Get("type"), project: query.Get("project")}
	ctx, done := h.streaming(r)
	defer done()
	to := &sseLater{w: w}
	frames := outputFrames{to: to}
	// The response begins at once where the cursor holds, so that a client that
	// waits for the first event knows that it is heard.
	err = h.log.TailEvents(ctx, after, heartbeat, func(e bus.Event) error {
		if !wanted.matches(e) {
			return nil
		}
		return frames.send(e.Seq, e.Entity+"."+e.Type, eventData{
			Seq: e.Seq, ID: e.ID, Type: e.Entity + "." + e.Type, Entity: e.Entity, Key: e.Key, Time: e.Time,
			Actor: e.Actor, Project: e.Project, Data: rawJSON(e.Data),
		})
	}, frames.Idle)
	if !to.begun() {
		return err
	}
	return nil
}

// rawJSON is the body of an event; one that is no JSON is shown as a string.
func rawJSON(data []byte) json.RawMessage {
	if json.Valid(data) {
		return data
	}
	text, _ := json.Marshal(string(data)) // a string
	return text
}

// eventFilter chooses events by type, exact or operation.*, and by project.
type eventFilter struct{ pattern, project string }

func (f eventFilter) matches(e bus.Event) bool {
	if f.project != "" && f.project != e.Project {
		return false
	}
	return contract.MatchEventType(f.pattern, e.Entity+"."+e.Type)
}
