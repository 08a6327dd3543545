// Package client speaks the gateway's REST API: plain calls that are retried
// where that is safe, and event streams that go on after a cut.
//
// Every request that changes something carries an Idempotency-Key, the same on
// each try, so a retry can not do the work twice; what would be done twice even so
// is tried once.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Timeouts and limits of the defaults.
const (
	callTimeout  = 30 * time.Second // one try of a plain call
	waitTimeout  = 20 * time.Second // what a call asks the gateway to wait, below callTimeout
	idleTimeout  = 45 * time.Second // three heartbeats of a stream
	outageLimit  = 2 * time.Minute
	pollInterval = 500 * time.Millisecond
	retryDelay   = 100 * time.Millisecond
	retryTries   = 5
	retryCeiling = 30 * time.Second
	maxBody      = 16 << 20
)

// Config says which gateway to speak to, and how patiently. Zero durations and
// numbers stand for the defaults.
type Config struct {
	URL       string // of the gateway, with or without a path
	Key       string // API key, rdev_…; empty for the open calls
	UserAgent string

	Tries      int           // of a call, in all; 5
	RetryDelay time.Duration // before the second try, doubled from there; 100 ms
	Idle       time.Duration // silence after which a stream is taken for dead; 45 s
	Outage     time.Duration // how long a stream may fail to come back; 2 min
}

// Client is safe for concurrent use.
type Client struct {
	config Config
	base   *url.URL
	calls  *http.Client
	// streams has no timeout of its own: a stream may last for days, and the
	// watchdog of silence ends one that is dead.
	streams *http.Client
}

// New checks the configuration; it does not connect.
func New(config Config) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil {
		return nil, fmt.Errorf("gateway address %q: %w", config.URL, err)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("gateway address %q: must look like http://127.0.0.1:8080", config.URL)
	}
	base.Path = strings.TrimRight(base.Path, "/")
	config.Tries = orDefault(config.Tries, retryTries)
	config.RetryDelay = orDefault(config.RetryDelay, retryDelay)
	config.Idle = orDefault(config.Idle, idleTimeout)
	config.Outage = orDefault(config.Outage, outageLimit)
	// A redirect would carry the key to wherever it points.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		config:  config,
		base:    base,
		calls:   &http.Client{Timeout: callTimeout, CheckRedirect: stay},
		streams: &http.Client{CheckRedirect: stay},
	}, nil
}

// call is one request of the API.
type call struct {
	method string
	path   string // its dynamic parts escaped
	query  url.Values
	body   any           // sent as JSON unless nil
	key    string        // Idempotency-Key; one is made where empty
	wait   time.Duration // asks the gateway to wait for the end of the operation
	once   bool          // is not tried again: done twice it is not the same
}

// do makes the call, retries it where that is safe, and decodes the answer into
// out unless that is nil.
func (c *Client) do(ctx context.Context, call call, out any) (http.Header, error) {
	var payload []byte
	if call.body != nil {
		var err error
		if payload, err = json.Marshal(call.body); err != nil {
			return nil, fmt.Errorf("encode %s %s: %w", call.method, call.path, err)
		}
	}
	if call.key == "" {
		call.key = rand.Text()
	}
	for try := 1; ; try++ {
		status, header, body, err := c.once(ctx, call, payload)
		if err == nil && status >= http.StatusMultipleChoices {
			err = parseProblem(status, header, body)
		}
		if err == nil {
			return header, decode(call, body, out)
		}
		delay, again := c.again(ctx, try, err)
		if !again || call.once {
			return header, err
		}
		if err := pause(ctx, delay); err != nil {
			return header, err
		}
	}
}

// once makes one try of a call and reads the whole answer.
func (c *Client) once(ctx context.Context, call call, payload []byte) (int, http.Header, []byte, error) {
	request, err := c.request(ctx, call.method, call.path, call.query, payload)
	if err != nil {
		return 0, nil, nil, err
	}
	// With one, net/http itself would send a request again whose connection broke.
	if call.method != http.MethodGet && !call.once {
		request.Header.Set("Idempotency-Key", call.key)
	}
	if call.wait > 0 {
		request.Header.Set("Prefer", fmt.Sprintf("wait=%d", int(call.wait.Seconds())))
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.calls.Do(request)
	if err != nil {
		return 0, nil, nil, c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return 0, nil, nil, c.unreachable(ctx, err)
	}
	return response.StatusCode, response.Header, body, nil
}

// request prepares what calls and streams have in common.
func (c *Client) request(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Request, error) {
	target := c.base.String() + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("prepare %s %s: %w", method, path, err)
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.config.Key != "" {
		request.Header.Set("Authorization", "Bearer "+c.config.Key)
	}
	if c.config.UserAgent != "" {
		request.Header.Set("User-Agent", c.config.UserAgent)
	}
	return request, nil
}

// unreachable is the error of a request that got no answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return &UnreachableError{URL: c.base.String(), Err: err}
}

func decode(call call, body []byte, out any) error {
	if out == nil || len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decode the answer of %s %s: %w", call.method, call.path, err)
	}
	return nil
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value > 0 {
		return value
	}
	return fallback
}
