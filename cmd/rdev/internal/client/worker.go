package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Worker is a place where work is carried out, and what it does now. It writes itself
// as the JSON that the gateway sent.
type Worker struct {
	ID        string               `json:"id"`
	State     contract.WorkerState `json:"state"`
	Runtime   string               `json:"runtime"`   // kube, local
	Operation string               `json:"operation"` // that it carries out, "" for none
	Project   string               `json:"project"`   // of the operation
	Since     *time.Time           `json:"since"`     // when it began with it
	CreatedAt time.Time            `json:"created_at"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (w *Worker) UnmarshalJSON(data []byte) error {
	type plain Worker
	return readDocument(data, (*plain)(w), &w.raw)
}

// MarshalJSON writes the document as it came.
func (w Worker) MarshalJSON() ([]byte, error) {
	type plain Worker
	return writeDocument(w.raw, plain(w))
}

// Workers are those that are ready or drain, by name.
func (c *Client) Workers(ctx context.Context) ([]Worker, error) {
	var answer struct {
		Workers []Worker `json:"workers"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/workers"}, &answer)
	return answer.Workers, err
}

// DrainWorker has a worker take no more work.
func (c *Client) DrainWorker(ctx context.Context, id string) (Worker, error) {
	return c.changeWorker(ctx, id, "drain")
}

// ResumeWorker has a worker that drains take work again.
func (c *Client) ResumeWorker(ctx context.Context, id string) (Worker, error) {
	return c.changeWorker(ctx, id, "resume")
}

func (c *Client) changeWorker(ctx context.Context, id, verb string) (Worker, error) {
	var worker Worker
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/workers/" + url.PathEscape(id) + "/" + verb}, &worker)
	return worker, err
}
