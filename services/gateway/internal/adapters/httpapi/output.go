package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// streaming is ctx for a stream: done when the client is gone or the gateway stops.
func (h *handlers) streaming(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(h.Stopping, func() { cancel(errServerStops) })
	return ctx, func() { stop(); cancel(nil) }
}

// cursorOf is where a stream goes on: Last-Event-ID, or from_seq, which names
// the first sequence that is wanted.
func cursorOf(r *http.Request) (after uint64, given bool, err error) {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if after, err = strconv.ParseUint(last, 10, 63); err != nil {
			return 0, true, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "Last-Event-ID must be an id of this stream"}
		}
		return after, true, nil
	}
	from, err := queryUint(r, "from_seq")
	return from - min(from, 1), r.URL.Query().Get("from_seq") != "", err
}

// outputRequest is what all forms of an operation's output have in common.
type outputRequest struct {
	id    string
	after uint64
	once  bool // what there is by now, and no more
}

func outputOf(r *http.Request) (out outputRequest, err error) {
	if out.id, err = operationID(r); err != nil {
		return out, err
	}
	if out.after, _, err = cursorOf(r); err != nil {
		return out, err
	}
	switch follow := r.URL.Query().Get("follow"); follow {
	case "", "true":
	case "false":
		out.once = true
	default:
		return out, invalidQuery("follow", "must be true or false")
	}
	return out, nil
}

// find refuses an operation that does not exist.
func (h *handlers) find(r *http.Request, id string) error {
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	_, err := h.load(ctx, id)
	return err
}

// followOutput feeds the output to a sink until the operation has ended. It waits
// for as long as it takes, but not for the beginning.
func (h *handlers) followOutput(ctx context.Context, out outputRequest, to bus.OutputSink) error {
	err := h.Log.FollowOutput(ctx, out.id, bus.Follow{After: out.after, Idle: h.Heartbeat, Begin: api.TimeoutFastLookup, Once: out.once}, to)
	if errors.Is(err, contract.ErrNotFound) {
		return h.endForgotten(ctx, out.id, to)
	}
	return err
}

// endForgotten tells of an operation that the log has forgotten, and with it its
// output, what the audit knows.
func (h *handlers) endForgotten(ctx context.Context, id string, to bus.OutputSink) error {
	ctx, cancel := context.WithTimeout(ctx, api.TimeoutFastLookup)
	defer cancel()
	op, err := h.load(ctx, id)
	if err != nil {
		return err
	}
	return to.End(op)
}

func (h *handlers) outputFrames(to sender, out outputRequest) frames {
	return frames{to: to, chunks: &h.chunks, operation: out.id}
}

func (h *handlers) streamOutput(w http.ResponseWriter, r *http.Request) error {
	out, err := outputOf(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return h.headOutput(w, r, out.id)
	}
	ctx, done := h.streaming(r)
	defer done()
	if wantsText(r) {
		return h.plainOutput(ctx, w, out)
	}
	to := &sseLater{w: w}
	return h.breakOff(to, h.followOutput(ctx, out, h.outputFrames(to, out)))
}

func (h *handlers) headOutput(w http.ResponseWriter, r *http.Request, id string) error {
	err := h.find(r, id)
	switch {
	case err != nil:
	case wantsText(r):
		(&plainSink{w: w}).begin()
	default:
		newSSE(w)
	}
	return err
}

func wantsText(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	return strings.Contains(accept, "text/plain") && !strings.Contains(accept, "text/event-stream")
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

// breakOff ends a stream with an error. One before the first frame is returned;
// after it the client is told where there is something to tell, and otherwise
// sees the stream break off, and resumes.
func (h *handlers) breakOff(to *sseLater, err error) error {
	if err == nil || !to.begun() {
		return err
	}
	if problem := h.problemOf(err); problem != nil && problem.Code != contract.CodeUnavailable {
		return ignoreLost(frames{to: to}.problem(problem))
	}
	return nil
}

// ignoreLost drops the error of a client that has gone.
func ignoreLost(error) error { return nil }

// plainOutput writes stdout and stderr as the command did, and an agent's events
// as JSON lines, until the operation has ended. What is cut off must not look
// like the end: the connection breaks.
func (h *handlers) plainOutput(ctx context.Context, w http.ResponseWriter, out outputRequest) error {
	plain := &plainSink{w: w, control: http.NewResponseController(w)}
	err := h.followOutput(ctx, out, plain)
	if err != nil && plain.begun {
		panic(http.ErrAbortHandler)
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
		data = append(slices.Clip(data), '\n')
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

func (p *plainSink) End(contract.Operation) error {
	p.begin()
	return nil
}
