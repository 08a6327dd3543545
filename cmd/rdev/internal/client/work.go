package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// MostWork is how many pieces of work AddAllWork takes, and MostWorkBytes how many
// bytes all of them may have, as JSON.
const (
	MostWork      = 500
	MostWorkBytes = 1<<20 - 1<<10
)

// NewWork is the body of a piece of work. One of Shell and Agent is set; the fields of
// Shell stand beside kind in the JSON.
type NewWork struct {
	Kind       string               `json:"kind"` // build, test, deploy, custom
	Project    string               `json:"project"`
	Repository *contract.Repository `json:"repository,omitempty"`

	*contract.Shell
	Agent *contract.Agent `json:"agent,omitempty"`

	Terms

	// As of a contract.Work. One of RunAt and Delay may be set.
	Priority    contract.Priority `json:"priority,omitempty"`
	RunAt       *time.Time        `json:"run_at,omitempty"`
	Delay       contract.Duration `json:"delay,omitzero"`
	MaxAttempts int               `json:"max_attempts,omitempty"`
	Backoff     contract.Duration `json:"backoff,omitzero"`
	Labels      map[string]string `json:"labels,omitempty"`
	UniqueKey   string            `json:"unique_key,omitempty"`
	Artifacts   []string          `json:"artifacts,omitempty"`
}

// AddWork puts a piece of work into the queue. The same idempotency key with the same
// work answers the operation of the first time; "" makes a new one. Where work of the
// project has the same unique key and has not ended, it answers that one.
func (c *Client) AddWork(ctx context.Context, work NewWork, key string) (Accepted, error) {
	return c.start(ctx, call{method: http.MethodPost, path: "/work", body: work, key: key})
}

// RetryWork puts work that has ended into the queue once more; key is as of AddWork.
// What has not ended is a CONFLICT.
func (c *Client) RetryWork(ctx context.Context, id, key string) (Accepted, error) {
	return c.start(ctx, call{method: http.MethodPost, path: workPath(id) + "/retry", key: key})
}

// WorkOutcome is what became of one piece of work among many: an operation, or a
// problem. It writes itself as the JSON that the gateway sent.
type WorkOutcome struct {
	Operation *Operation `json:"operation"`
	Error     *Problem   `json:"error"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (o *WorkOutcome) UnmarshalJSON(data []byte) error {
	type plain WorkOutcome
	return readDocument(data, (*plain)(o), &o.raw)
}

// MarshalJSON writes the document as it came.
func (o WorkOutcome) MarshalJSON() ([]byte, error) {
	type plain WorkOutcome
	return writeDocument(o.raw, plain(o))
}

// AddAllWork puts many pieces of work into the queue, each a NewWork in JSON, and
// answers what became of them, in the same order. The same key with the same work
// answers the operations of the first time.
func (c *Client) AddAllWork(ctx context.Context, items []json.RawMessage, key string) ([]WorkOutcome, error) {
	body := struct {
		Items []json.RawMessage `json:"items"`
	}{items}
	var answer struct {
		Items []WorkOutcome `json:"items"`
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/work/bulk", body: body, key: key}, &answer)
	return answer.Items, err
}

// WorkPage is one page of a list, newest first.
type WorkPage struct {
	Work       []Operation `json:"work"`
	NextCursor string      `json:"next_cursor"` // "" on the last page
}

// Work is one page of the work that the key may see. The kinds of the filter have no
// prefix.
func (c *Client) Work(ctx context.Context, filter OperationFilter) (WorkPage, error) {
	var page WorkPage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/work", query: filter.query()}, &page)
	return page, err
}

// WorkItem reads one piece of work.
func (c *Client) WorkItem(ctx context.Context, id string) (Operation, error) {
	var operation Operation
	_, err := c.do(ctx, call{method: http.MethodGet, path: workPath(id)}, &operation)
	return operation, err
}

// CancelWork asks for the end of a piece of work, as Cancel does of an operation, and
// needs no more than the right to add work.
func (c *Client) CancelWork(ctx context.Context, id string) (Operation, error) {
	var operation Operation
	_, err := c.do(ctx, call{method: http.MethodPost, path: workPath(id) + "/cancel"}, &operation)
	return operation, err
}

// WorkCounts are how many pieces of work wait, wait for their time, and run.
type WorkCounts struct {
	Queued  int `json:"queued"`
	Delayed int `json:"delayed"`
	Running int `json:"running"`
}

// WorkStats is how the queue does. It writes itself as the JSON that the gateway sent.
type WorkStats struct {
	WorkCounts
	OldestAge float64 `json:"oldest_age_seconds"` // of what is queued

	// In the last hour.
	Completed  int     `json:"completed"`
	Failed     int     `json:"failed"`
	Cancelled  int     `json:"cancelled"`
	Retried    int     `json:"retried"`
	Throughput float64 `json:"throughput_per_minute"`
	Wait       struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
	} `json:"wait_seconds"`

	ByProject map[string]WorkCounts `json:"by_project"` // by slug
	ByKind    map[string]WorkCounts `json:"by_kind"`
	ByWorker  map[string]struct {
		Operation string `json:"operation"` // that it carries out, "" for none
		Completed int    `json:"completed"`
		Failed    int    `json:"failed"`
	} `json:"by_worker"` // by id

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (s *WorkStats) UnmarshalJSON(data []byte) error {
	type plain WorkStats
	return readDocument(data, (*plain)(s), &s.raw)
}

// MarshalJSON writes the document as it came.
func (s WorkStats) MarshalJSON() ([]byte, error) {
	type plain WorkStats
	return writeDocument(s.raw, plain(s))
}

// WorkStats reads how the queue does, for a project or, where that is "", for all that
// the key may see.
func (c *Client) WorkStats(ctx context.Context, project string) (WorkStats, error) {
	query := url.Values{}
	set(query, "project", project)
	var stats WorkStats
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/work/stats", query: query}, &stats)
	return stats, err
}

func workPath(id string) string { return "/work/" + url.PathEscape(id) }
