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

// streaming is ctx for a stream: done when the client is gone, the gateway stops,
// or the key does not work any more.
func (h *handlers) streaming(r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(h.Stopping, func() { cancel(errServerStops) })
	pass := passOf(r)
	expired := func() bool { return true }
	if !pass.Until.IsZero() {
		expired = time.AfterFunc(time.Until(pass.Until), func() { cancel(errKeyEnded) }).Stop
	}
	forget := pass.OnRevoked(func() { cancel(errKeyEnded) })
	return ctx, func() { stop(); expired(); forget(); cancel(nil) }
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

// output is what is known of an operation's output, to be told to a sink.
type output interface {
	Feed(ctx context.Context, sink bus.OutputSink) error
	Close()
}

// followOf is how a stream of output is to be followed.
func (h *handlers) followOf(r *http.Request) (bus.Follow, error) {
	after, _, err := cursorOf(r)
	how := bus.Follow{After: after, Idle: h.Heartbeat}
	if err != nil {
		return how, err
	}
	switch follow := r.URL.Query().Get("follow"); follow {
	case "", "true":
	case "false":
		how.Once = true
	default:
		return how, invalidQuery("follow", "must be true or false")
	}
	return how, nil
}

// openOutput finds what is asked for: what is wrong with the request is known
// before the response begins. A stream waits for as long as it takes, but not for
// its beginning.
func (h *handlers) openOutput(r *http.Request, id string) (output, error) {
	how, err := h.followOf(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	if err := h.requireOperation(ctx, r, id); err != nil {
		return nil, err
	}
	found, err := h.Log.FollowOutput(ctx, id, how)
	if errors.Is(err, contract.ErrNotFound) {
		op, err := h.load(ctx, id)
		return forgotten{op}, err
	}
	return found, err
}

// forgotten is an operation that the log has forgotten, and with it its output:
// the audit knows how it ended.
type forgotten struct{ operation contract.Operation }

// Feed implements output.
func (f forgotten) Feed(_ context.Context, sink bus.OutputSink) error { return sink.End(&f.operation) }

// Close implements output.
func (forgotten) Close() {}

func (h *handlers) outputFrames(to sender, id string) frames {
	return frames{to: to, operation: id, chunks: &h.chunks, states: &h.states}
}

func (h *handlers) streamOutput(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	out, err := h.openOutput(r, id)
	if err != nil {
		return err
	}
	defer out.Close()
	return h.tell(w, r, out, told{
		frames: func(to sender) bus.OutputSink { return h.outputFrames(to, id) },
		plain:  func(to plainSink) bus.OutputSink { return to },
	})
}

// told makes what a follower sees what the client gets: frames, or plain text.
type told struct {
	frames func(sender) bus.OutputSink
	plain  func(plainSink) bus.OutputSink
}

// tell sends an output as server-sent events, or as the plain text that is asked for.
func (h *handlers) tell(w http.ResponseWriter, r *http.Request, out output, as told) error {
	ctx, done := h.streaming(r)
	defer done()
	if accept := r.Header.Get("Accept"); strings.Contains(accept, "text/plain") && !strings.Contains(accept, "text/event-stream") {
		return h.plainOutput(ctx, w, r, out, as)
	}
	to := newSSE(w)
	if r.Method == http.MethodHead {
		return nil
	}
	return h.breakOff(to, out.Feed(ctx, as.frames(to)))
}

// breakOff ends a stream that has begun: the client is told of an error where
// there is something to tell, and otherwise sees the stream break off, and resumes.
func (h *handlers) breakOff(to sender, err error) error {
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
func (h *handlers) plainOutput(ctx context.Context, w http.ResponseWriter, r *http.Request, out output, as told) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := out.Feed(ctx, as.plain(plainSink{w: w, control: http.NewResponseController(w)})); err != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

type plainSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p plainSink) Chunk(c contract.Chunk) error {
	data := c.Data
	if c.Stream == contract.OutputAgent {
		data = append(slices.Clip(data), '\n')
	}
	return p.write(data)
}

func (p plainSink) write(data []byte) error {
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

func (plainSink) State(*contract.Operation) error { return nil }

func (p plainSink) Gap(_ string, after, before uint64) error {
	return p.write(fmt.Appendf(nil, "\n[output %d to %d is not kept any more]\n", after, before))
}

func (plainSink) Idle() error { return nil }

func (plainSink) End(*contract.Operation) error { return nil }
