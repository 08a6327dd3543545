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
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
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
	Source  string          `json:"source,omitempty"`      // ce-source
	Trace   string          `json:"traceparent,omitempty"` // of the request that it goes back to
	Data    json.RawMessage `json:"data"`                  // the entity after the event
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
	wanted := eventFilter{pattern: query.Get("type"), project: query.Get("project"), pass: passOf(r)}
	if wanted.project != "" {
		if err := requireProject(wanted.pass, wanted.project); err != nil {
			return err
		}
	}
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
		if !wanted.matches(e, eventType) {
			return nil
		}
		return frames{to: to}.send(e.Seq, eventType, eventData{
			Seq: e.Seq, ID: e.ID, Type: eventType, Entity: e.Entity, Key: e.Key, Time: e.Time,
			Actor: e.Actor, Project: e.Project, Source: e.Header.Get(contract.HeaderSource), Trace: e.Header.Get(contract.HeaderTraceparent),
			Data: dataOf(e),
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

// eventFilter chooses events by type, exact or operation.*, by project, and by
// what the key may see.
type eventFilter struct {
	pattern, project string
	pass             app.Pass
}

func (f eventFilter) matches(e bus.Event, eventType string) bool {
	return (f.project == "" || f.project == e.Project) && contract.MatchEventType(f.pattern, eventType) &&
		f.pass.Sees(e.Project) && f.pass.Has(scopeOf(e.Entity))
}

// scopeOf is the scope of whoever may see the events of an entity.
func scopeOf(entity string) domain.Scope {
	switch entity {
	case contract.EntityOperation:
		return domain.OperationsRead
	case contract.EntityProject:
		return domain.ProjectsRead
	case contract.EntityWebhook:
		return domain.WebhooksRead
	case contract.EntityKey:
		return domain.AuditRead
	}
	return domain.Admin
}

// dataOf is the body of an event as the API shows it.
func dataOf(e bus.Event) json.RawMessage {
	if e.Entity != contract.EntityKey {
		return rawJSON(e.Data)
	}
	key, err := e.APIKey()
	if err != nil {
		return rawJSON(nil)
	}
	body, err := json.Marshal(viewKey(key, time.Time{}))
	if err != nil {
		return rawJSON(nil)
	}
	return body
}
