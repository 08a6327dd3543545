package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Budget is the budget of a project or of a key, beside what was used of it today.
// It writes itself as the JSON that the gateway sent.
type Budget struct {
	Budget contract.Budget `json:"budget"` // the zero one where there is none
	Today  struct {
		Tokens   int64     `json:"tokens"`
		CostUSD  float64   `json:"cost_usd"`
		ResetsAt time.Time `json:"resets_at"` // the next midnight of UTC
	} `json:"today"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (b *Budget) UnmarshalJSON(data []byte) error {
	type plain Budget
	return readDocument(data, (*plain)(b), &b.raw)
}

// MarshalJSON writes the document as it came.
func (b Budget) MarshalJSON() ([]byte, error) {
	type plain Budget
	return writeDocument(b.raw, plain(b))
}

// ProjectBudget reads the budget of a project.
func (c *Client) ProjectBudget(ctx context.Context, slug string) (Budget, error) {
	return c.budget(ctx, projectPath(slug))
}

// SetProjectBudget gives a project another budget, all of it; the zero one is none.
func (c *Client) SetProjectBudget(ctx context.Context, slug string, budget contract.Budget) (Budget, error) {
	return c.setBudget(ctx, projectPath(slug), budget)
}

// KeyBudget reads the budget of a key; the id "self" stands for the one of this
// client.
func (c *Client) KeyBudget(ctx context.Context, id string) (Budget, error) {
	return c.budget(ctx, keyPath(id))
}

// SetKeyBudget gives a key another budget, all of it; the zero one is none.
func (c *Client) SetKeyBudget(ctx context.Context, id string, budget contract.Budget) (Budget, error) {
	return c.setBudget(ctx, keyPath(id), budget)
}

func (c *Client) budget(ctx context.Context, of string) (Budget, error) {
	var budget Budget
	_, err := c.do(ctx, call{method: http.MethodGet, path: of + "/budget"}, &budget)
	return budget, err
}

func (c *Client) setBudget(ctx context.Context, of string, budget contract.Budget) (Budget, error) {
	var now Budget
	_, err := c.do(ctx, call{method: http.MethodPut, path: of + "/budget", body: budget}, &now)
	return now, err
}
