package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// steady is how long a connection must last to count as an end of the outage.
const steady = time.Second

// errorEvent is the gateway's refusal to go on with a stream that has begun.
const errorEvent = "error"

// errSilent ends a connection on which not even heartbeats arrive.
var errSilent = errors.New("the stream fell silent")

// follow yields the frames of a stream, and goes on after a cut where it was cut
// off. It ends with the frame that last accepts, when the consumer stops, or
// with an error: the gateway's refusal, the end of ctx, or an outage that lasts
// for too long.
func (c *Client) follow(ctx context.Context, path string, query url.Values, last func(frame) bool) iter.Seq2[frame, error] {
	return func(yield func(frame, error) bool) {
		cursor := ""
		for try, since := 1, time.Now(); ; try++ {
			opened, before := time.Time{}, cursor
			err := c.readFrames(ctx, path, query, cursor, &opened, func(f frame) bool {
				if f.id != "" {
					cursor = f.id
				}
				if f.data == nil {
					return true
				}
				return yield(f, nil) && !last(f)
			})
			if err == nil {
				return
			}
			if cursor != before || (!opened.IsZero() && time.Since(opened) > steady) {
				try, since = 1, time.Now()
			}
			if !resumable(ctx, err) || time.Since(since) > c.config.Outage {
				yield(frame{}, err)
				return
			}
			if problem, ok := errors.AsType[*Problem](err); ok && problem.RetryAfter > 0 {
				err = pause(ctx, min(problem.RetryAfter, retryCeiling))
			} else {
				err = pause(ctx, backoff(c.config.RetryDelay, try))
			}
			if err != nil {
				yield(frame{}, err)
				return
			}
		}
	}
}

// resumable tells whether a new connection may go on where this one ended.
func resumable(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if problem, ok := errors.AsType[*Problem](err); ok {
		return transient(problem.Status) || problem.Code == string(contract.CodeUnavailable)
	}
	_, ok := errors.AsType[*UnreachableError](err)
	return ok
}

// readFrames reads one connection until handle returns false, which is the only
// end without an error. It sets opened when the gateway has answered.
func (c *Client) readFrames(
	ctx context.Context, path string, query url.Values, cursor string, opened *time.Time, handle func(frame) bool,
) error {
	ctx, hangUp := context.WithCancelCause(ctx)
	defer hangUp(nil)
	// The watchdog also bounds the wait for the answer's header.
	watchdog := time.AfterFunc(c.config.Idle, func() { hangUp(errSilent) })
	defer watchdog.Stop()

	response, err := c.openStream(ctx, path, query, cursor)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	*opened = time.Now()

	frames := newFrameReader(watched{response.Body, watchdog, c.config.Idle})
	for {
		f, err := frames.next()
		if err != nil {
			return c.cut(ctx, err)
		}
		if cursor != "" && !after(f.id, cursor) {
			continue // a gateway that repeats what was asked to be left out
		}
		if f.event == errorEvent {
			return parseProblem(0, nil, f.data)
		}
		if !handle(f) {
			return nil
		}
	}
}

// openStream asks for a stream from behind cursor on.
func (c *Client) openStream(ctx context.Context, path string, query url.Values, cursor string) (*http.Response, error) {
	if cursor != "" {
		rest := url.Values{}
		for name, values := range query {
			if name != "from_seq" {
				rest[name] = values
			}
		}
		query = rest
	}
	request, err := c.request(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	if cursor != "" {
		request.Header.Set("Last-Event-ID", cursor)
	}
	response, err := c.streams.Do(request)
	if err != nil {
		return nil, c.cut(ctx, err)
	}
	if response.StatusCode == http.StatusOK {
		media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
		if err == nil && media == "text/event-stream" {
			return response, nil
		}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, c.cut(ctx, err)
	}
	if response.StatusCode < http.StatusMultipleChoices {
		return nil, &Problem{Status: response.StatusCode, Detail: "the answer is no event stream"}
	}
	return nil, parseProblem(response.StatusCode, response.Header, body)
}

// cut is the error of a connection that ended; silence is one that can be mended.
func (c *Client) cut(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return &UnreachableError{URL: c.base.String(), Err: errSilent}
	}
	if errors.Is(err, errLarge) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the stream ended early")
	}
	return c.unreachable(ctx, err)
}

// after tells whether a frame comes after the one that a connection resumed
// from. Sequences are numbers; what carries none is judged by its content.
func after(id, cursor string) bool {
	this, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return true
	}
	that, err := strconv.ParseUint(cursor, 10, 64)
	return err != nil || this > that
}

// watched is a body that feeds the watchdog as it is read.
type watched struct {
	io.Reader
	watchdog *time.Timer
	idle     time.Duration
}

func (w watched) Read(p []byte) (int, error) {
	w.watchdog.Reset(w.idle)
	defer w.watchdog.Stop() // a slow reader of ours is no silence of theirs
	return w.Reader.Read(p)
}
