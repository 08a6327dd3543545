package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Operation is a snapshot of an operation. It writes itself as the JSON that
// the gateway sent, with whatever fields this client does not know.
type Operation struct {
	contract.Operation

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (o *Operation) UnmarshalJSON(data []byte) error {
	return readDocument(data, &o.Operation, &o.raw)
}

// MarshalJSON writes the document as it came.
func (o Operation) MarshalJSON() ([]byte, error) {
	return writeDocument(o.raw, o.Operation)
}

// Accepted is an operation that a request has started.
type Accepted struct {
	Operation

	// Replayed is true where the Idempotency-Key belongs to an earlier request,
	// whose operation this is.
	Replayed bool
}

// OperationFilter narrows a list of operations; empty fields do not.
type OperationFilter struct {
	State   string
	Project string
	Kind    string
	Since   time.Time
	Limit   int // of one page, 0 for the gateway's default
	Cursor  string
}

// OperationPage is one page of a list, newest first.
type OperationPage struct {
	Operations []Operation `json:"operations"`
	NextCursor string      `json:"next_cursor"` // "" on the last page
}

// HistoryEvent is one event of an operation's log.
type HistoryEvent struct {
	Seq       uint64    `json:"seq"`
	Type      string    `json:"type"`
	Time      time.Time `json:"time"`
	Operation Operation `json:"operation"` // as it is after the event
}

func (f OperationFilter) query() url.Values {
	query := url.Values{}
	set(query, "state", f.State)
	set(query, "project", f.Project)
	set(query, "kind", f.Kind)
	set(query, "cursor", f.Cursor)
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return query
}

// Operations is one page of the operations that the key may see.
func (c *Client) Operations(ctx context.Context, filter OperationFilter) (OperationPage, error) {
	var page OperationPage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/operations", query: filter.query()}, &page)
	return page, err
}

// Operation reads one operation, as it stood at a sequence of the log unless
// that is 0.
func (c *Client) Operation(ctx context.Context, id string, asOf uint64) (Operation, error) {
	query := url.Values{}
	if asOf > 0 {
		query.Set("as_of_seq", strconv.FormatUint(asOf, 10))
	}
	var operation Operation
	_, err := c.do(ctx, call{method: http.MethodGet, path: operationPath(id), query: query}, &operation)
	return operation, err
}

// History is what the log has of an operation, oldest first.
func (c *Client) History(ctx context.Context, id string) ([]HistoryEvent, error) {
	var answer struct {
		Events []HistoryEvent `json:"events"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: operationPath(id) + "/events"}, &answer)
	return answer.Events, err
}

// Cancel asks for the end of an operation. Asking again is harmless.
func (c *Client) Cancel(ctx context.Context, id string) (Operation, error) {
	var operation Operation
	_, err := c.do(ctx, call{method: http.MethodPost, path: operationPath(id) + "/cancel"}, &operation)
	return operation, err
}

// Wait returns the operation once it has ended. changed is told every snapshot
// on the way, the last included. It outlasts what a stream outlasts.
func (c *Client) Wait(ctx context.Context, id string, changed func(Operation)) (Operation, error) {
	request := call{method: http.MethodGet, path: operationPath(id), wait: waitTimeout}
	for heard := time.Now(); ; {
		var operation Operation
		_, err := c.do(ctx, request, &operation)
		switch {
		case err == nil:
			heard = time.Now()
			changed(operation)
			if operation.State.Ended() {
				return operation, nil
			}
		case !resumable(ctx, err) || time.Since(heard) > c.config.Outage:
			return operation, err
		}
		// A gateway that does not wait on this call is asked twice a second.
		if err := pause(ctx, pollInterval); err != nil {
			return operation, err
		}
	}
}

func operationPath(id string) string { return "/operations/" + url.PathEscape(id) }

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}
