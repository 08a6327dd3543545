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
	operation contract.Operation // as it is at the start
	after     uint64
	once      bool // what there is by now, and no more
}

// outputOf reads the request. A stream waits for as long as it takes, but not
// for its beginning.
func (h *handlers) outputOf(r *http.Request) (outputRequest, error) {
	id, err := operationID(r)
	if err != nil {
		return outputRequest{}, err
	}
	after, _, err := cursorOf(r)
	if err != nil {
		return outputRequest{}, err
	}
	once := false
	switch follow := r.URL.Query().Get("follow"); follow {
	case "", "true":
	case "false":
		once = true
	default:
		return outputRequest{}, invalidQuery("follow", "must be true or false")
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	op, err := h.load(ctx, id)
	return outputRequest{operation: op, after: after, once: once}, err
}

// followOutput feeds the output to a sink, and returns the operation as it ended.
func (h *handlers) followOutput(ctx context.Context, out outputRequest, to bus.OutputSink) (contract.Operation, error) {
	op, err := h.Log.FollowOutput(ctx, out.operation.ID, bus.Follow{After: out.after, Idle: h.Heartbeat, Once: out.once}, to)
	if errors.Is(err, contract.ErrNotFound) {
		return out.operation, nil // the log has forgotten it, and the output before it
	}
	return op, err
}

func (h *handlers) outputFrames(to sender, out outputRequest) frames {
	return frames{to: to, chunks: &h.chunks, operation: out.operation.ID}
}

func (h *handlers) streamOutput(w http.ResponseWriter, r *http.Request) error {
	out, err := h.outputOf(r)
	if err != nil {
		return err
	}
	ctx, done := h.streaming(r)
	defer done()
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "text/plain") && !strings.Contains(accept, "text/event-stream") {
		return h.plainOutput(ctx, w, r, out)
	}
	to := &sseLater{w: w}
	if r.Method == http.MethodHead {
		to.begin()
		return nil
	}
	output := h.outputFrames(to, out)
	op, err := h.followOutput(ctx, out, output)
	if err == nil {
		return ignoreLost(output.end(op))
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

// breakOff ends a stream with an error. One before the first frame is returned;
// after it the client is told where there is something to tell, and otherwise
// sees the stream break off, and resumes.
func (h *handlers) breakOff(to *sseLater, err error) error {
	if !to.begun() {
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
func (h *handlers) plainOutput(ctx context.Context, w http.ResponseWriter, r *http.Request, out outputRequest) error {
	plain := &plainSink{w: w, control: http.NewResponseController(w)}
	if r.Method == http.MethodHead {
		plain.begin()
		return nil
	}
	_, err := h.followOutput(ctx, out, plain)
	switch {
	case err != nil && plain.begun:
		panic(http.ErrAbortHandler)
	case err == nil:
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
