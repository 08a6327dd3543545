package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"

	"github.com/orchard9/rdev/libs/contract"
)

// NewBuild is the body of a build.
type NewBuild struct {
	Project string `json:"project"`
	// Spec is the text of a specification, as it was written.
	Spec   string            `json:"spec"`
	Params map[string]string `json:"params,omitempty"`
}

// RunBuild starts a build. The same idempotency key with the same build answers the
// operation of the first time; "" makes a new one. What is wrong with the specification
// is in the fields of the problem, with their lines.
func (c *Client) RunBuild(ctx context.Context, build NewBuild, key string) (Accepted, error) {
	return c.start(ctx, call{method: http.MethodPost, path: "/builds", body: build, key: key})
}

// PlannedBuild is a build as it would be. It writes itself as the JSON that the gateway
// sent.
type PlannedBuild struct {
	Build contract.Build `json:"build"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (p *PlannedBuild) UnmarshalJSON(data []byte) error {
	type plain PlannedBuild
	return readDocument(data, (*plain)(p), &p.raw)
}

// MarshalJSON writes the document as it came.
func (p PlannedBuild) MarshalJSON() ([]byte, error) {
	type plain PlannedBuild
	return writeDocument(p.raw, plain(p))
}

// PlanBuild checks a build as RunBuild does, and starts nothing.
func (c *Client) PlanBuild(ctx context.Context, build NewBuild) (PlannedBuild, error) {
	var planned PlannedBuild
	query := url.Values{"dry_run": {"true"}}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/builds", query: query, body: build}, &planned)
	return planned, err
}

// Rerun says which steps of a build run again, besides those that had not completed and
// all that need one that runs. One of its fields may be set.
type Rerun struct {
	From string `json:"from,omitempty"` // a step, or all of a matrix
	All  bool   `json:"all,omitempty"`
}

// RerunBuild starts a build once more that has ended; key is as of RunBuild. What has not
// ended, or has nothing left to run, is a CONFLICT.
func (c *Client) RerunBuild(ctx context.Context, id string, which Rerun, key string) (Accepted, error) {
	return c.start(ctx, call{method: http.MethodPost, path: buildPath(id) + "/rerun", body: which, key: key})
}

// BuildPage is one page of a list, newest first.
type BuildPage struct {
	Builds     []Operation `json:"builds"`      // without what their steps are to do
	NextCursor string      `json:"next_cursor"` // "" on the last page
}

// Builds is one page of the builds that the key may see.
func (c *Client) Builds(ctx context.Context, filter OperationFilter) (BuildPage, error) {
	var page BuildPage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/builds", query: filter.query()}, &page)
	return page, err
}

// Build reads one build.
func (c *Client) Build(ctx context.Context, id string) (Operation, error) {
	var operation Operation
	_, err := c.do(ctx, call{method: http.MethodGet, path: buildPath(id)}, &operation)
	return operation, err
}

// CancelBuild asks for the end of a build, with all of its steps that run.
func (c *Client) CancelBuild(ctx context.Context, id string) (Operation, error) {
	var operation Operation
	_, err := c.do(ctx, call{method: http.MethodPost, path: buildPath(id) + "/cancel"}, &operation)
	return operation, err
}

// BuildSchema is the JSON Schema of specifications.
func (c *Client) BuildSchema(ctx context.Context) (json.RawMessage, error) {
	var schema json.RawMessage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/builds/schema"}, &schema)
	return schema, err
}

// BuildOutput reads what the steps of a build put out, as Output reads that of one
// operation: all of them, or a step, or all of a matrix. Its states are of the build, and
// have the steps without what they do.
func (c *Client) BuildOutput(ctx context.Context, id, step string, from uint64, follow bool) iter.Seq2[Output, error] {
	query := url.Values{}
	set(query, "step", step)
	return c.outputs(ctx, buildPath(id)+"/output", "build "+id, query, from, follow)
}

func buildPath(id string) string { return "/builds/" + url.PathEscape(id) }
