package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// NewPipeline is the body of a pipeline.
type NewPipeline struct {
	Branch    string            `json:"branch,omitempty"` // that of the repository where ""
	Variables map[string]string `json:"variables,omitempty"`
}

// PipelinePage is one page of a list, newest first.
type PipelinePage struct {
	Pipelines  []contract.Pipeline `json:"pipelines"`   // without errors and workflows
	NextCursor string              `json:"next_cursor"` // "" on the last page
}

// Pipelines is one page of the pipelines of a project; limit 0 is the gateway's default.
func (c *Client) Pipelines(ctx context.Context, project string, limit int, cursor string) (PipelinePage, error) {
	query := url.Values{}
	set(query, "cursor", cursor)
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page PipelinePage
	_, err := c.do(ctx, call{method: http.MethodGet, path: projectPath(project) + "/pipelines", query: query}, &page)
	return page, err
}

// Pipeline reads one pipeline.
func (c *Client) Pipeline(ctx context.Context, project string, number int64) (contract.Pipeline, error) {
	var pipeline contract.Pipeline
	_, err := c.do(ctx, call{method: http.MethodGet, path: pipelinePath(project, number)}, &pipeline)
	return pipeline, err
}

// RunPipeline starts a pipeline. The same idempotency key with the same pipeline answers
// that of the first time; "" makes a new one.
func (c *Client) RunPipeline(ctx context.Context, project string, pipeline NewPipeline, key string) (contract.Pipeline, error) {
	var started contract.Pipeline
	_, err := c.do(ctx, call{method: http.MethodPost, path: projectPath(project) + "/pipelines", body: pipeline, key: key}, &started)
	return started, err
}

// RerunPipeline starts a pipeline once more, as a new one. It is tried once: each try
// that arrives starts another.
func (c *Client) RerunPipeline(ctx context.Context, project string, number int64) (contract.Pipeline, error) {
	var started contract.Pipeline
	_, err := c.do(ctx, call{method: http.MethodPost, path: pipelinePath(project, number) + "/rerun", once: true}, &started)
	return started, err
}

// CancelPipeline ends a pipeline.
func (c *Client) CancelPipeline(ctx context.Context, project string, number int64) (contract.Pipeline, error) {
	var pipeline contract.Pipeline
	_, err := c.do(ctx, call{method: http.MethodPost, path: pipelinePath(project, number) + "/cancel"}, &pipeline)
	return pipeline, err
}

// PipelineLogs are the lines that a step has said so far, through all pages.
func (c *Client) PipelineLogs(ctx context.Context, project string, number, step int64) ([]string, error) {
	type page struct {
		Lines      []string `json:"lines"`
		NextCursor string   `json:"next_cursor"`
	}
	path := pipelinePath(project, number) + "/logs/" + strconv.FormatInt(step, 10)
	return allPages(ctx, c, path, func(p page) ([]string, string) { return p.Lines, p.NextCursor })
}

func pipelinePath(project string, number int64) string {
	return projectPath(project) + "/pipelines/" + strconv.FormatInt(number, 10)
}
