package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

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
	after, err := h.eventCursor(r)
	if err != nil {
		return err
	}
	to := &sseLater{w: w}
	if r.Method == http.MethodHead {
		to.begin()
		return nil
	}
	query := r.URL.Query()
	wanted := eventFilter{pattern: query.Get("type"), project: query.Get("project")}
	ctx, done := h.streaming(r)
	defer done()
	// The response begins at once where the cursor holds, with the cursor: a client
	// that is cut off before its first event resumes there too.
	beat := func() error {
		if !to.begun() {
			return to.begin().mark(after)
		}
		return to.beat()
	}
	err = h.Log.TailEvents(ctx, after, h.Heartbeat, func(e bus.Event) error {
		eventType := e.Entity + "." + e.Type
		if !wanted.matches(e.Project, eventType) {
			return nil
		}
		return frames{to: to}.send(e.Seq, eventType, eventData{
			Seq: e.Seq, ID: e.ID, Type: eventType, Entity: e.Entity, Key: e.Key, Time: e.Time,
			Actor: e.Actor, Project: e.Project, Data: rawJSON(e.Data),
		})
	}, beat)
	if err != nil && !to.begun() {
		return err
	}
	return h.breakOff(to, err)
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

// eventCursor is the sequence after which events are wanted. One beyond the end
// of the log is of another log: its events would never come.
func (h *handlers) eventCursor(r *http.Request) (uint64, error) {
	after, given, err := cursorOf(r)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	last, err := h.Log.LastEvent(ctx)
	switch {
	case err != nil:
		return 0, err
	case !given:
		return last, nil
	case after > last:
		return 0, &contract.Error{Code: contract.CodeInvalidRequest, Detail: fmt.Sprintf("the cursor %d lies beyond the end of the log, which is at %d", after, last)}
	}
	return after, nil
}

// eventFilter chooses events by type, exact or operation.*, and by project.
type eventFilter struct{ pattern, project string }

func (f eventFilter) matches(project, eventType string) bool {
	return (f.project == "" || f.project == project) && contract.MatchEventType(f.pattern, eventType)
}
