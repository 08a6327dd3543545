package gatewaytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// output streams an operation's frames from behind the cursor on, and then
// those to come, up to the end.
func (g *Gateway) output(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op := g.find(r.PathValue("id"))
	if op == nil {
		notFound(w, "operation", r.PathValue("id"))
		return
	}
	step := r.URL.Query().Get("step")
	named := func(s contract.BuildStep) bool { return s.Name == step || s.Of == step }
	if step != "" && !slices.ContainsFunc(op.now.Build.Steps, named) {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the query is not valid", contract.FieldError{Field: "step", Message: "names no step of the build"})
		return
	}
	from, resumed := cursor(r)
	g.streaming(w, r, func() int { return len(op.frames) }, func(i int) bool {
		f := op.frames[i]
		if of := (struct{ Step string }{}); step != "" && json.Unmarshal([]byte(f.Data), &of) == nil && of.Step != "" {
			if s, known := op.now.Build.Step(of.Step); !known || !named(*s) {
				return true
			}
		}
		// What has no cursor and is over is only said at the start.
		if (f.Seq != 0 && f.Seq < from) || (f.Seq == 0 && resumed && f.Event != "end" && i+1 < len(op.frames)) {
			return true
		}
		if op.cuts[i] {
			delete(op.cuts, i)
			fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s", f.Seq, f.Event, f.Data[:len(f.Data)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		write(w, f)
		if r.URL.Query().Get("follow") == "false" && f.Event != "end" && i+1 == len(op.frames) {
			now, _ := json.Marshal(summary(op.now))
			f = Frame{Event: "end", Data: string(now)}
			write(w, f)
		}
		return f.Event != "end"
	})
}

// follow streams the log.
func (g *Gateway) follow(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from, given := cursor(r)
	if !given && r.URL.Query().Get("from_seq") == "" {
		from = uint64(len(g.log) + 1)
	}
	project, kind := r.URL.Query().Get("project"), r.URL.Query().Get("type")
	g.streaming(w, r, func() int { return len(g.log) }, func(i int) bool {
		e := g.log[i]
		if e.Seq >= from && (project == "" || project == e.Project) && (kind == "" || contract.MatchEventType(kind, e.Type)) {
			data, _ := json.Marshal(e)
			write(w, Frame{Seq: e.Seq, Event: e.Type, Data: string(data)})
		}
		return true
	})
}

// streaming calls each for what there is and what comes, until it says no or
// the client is gone. g.mu is held but while it waits.
func (g *Gateway) streaming(w http.ResponseWriter, r *http.Request, length func() int, each func(int) bool) {
	stop := context.AfterFunc(r.Context(), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.changed.Broadcast()
	})
	defer stop()
	g.requests = append(g.requests, Request{Method: Streaming, Path: r.URL.Path})
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, ": hello\n\n")
	for i := 0; r.Context().Err() == nil; {
		for ; i < length(); i++ {
			if !each(i) {
				return
			}
		}
		_ = http.NewResponseController(w).Flush()
		g.changed.Wait()
	}
}

func write(w http.ResponseWriter, f Frame) {
	if f.Seq != 0 {
		fmt.Fprintf(w, "id: %d\n", f.Seq)
	}
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", f.Event, f.Data)
}

// cursor is the first sequence that is asked for, and whether that resumes.
func cursor(r *http.Request) (uint64, bool) {
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		return last + 1, true
	}
	from, _ := strconv.ParseUint(r.URL.Query().Get("from_seq"), 10, 64)
	return from, false
}
