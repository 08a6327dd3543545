package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Agents are the providers of agents as the gateway describes them, one JSON
// object each.
func (c *Client) Agents(ctx context.Context) ([]json.RawMessage, error) {
	var answer struct {
		Agents []json.RawMessage `json:"agents"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/agents"}, &answer)
	return answer.Agents, err
}

// Ready is nil where the gateway says that it can do its work.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/ready"}, nil)
	return err
}

// Version is the gateway's description of itself, in its own JSON.
func (c *Client) Version(ctx context.Context) (json.RawMessage, error) {
	var version json.RawMessage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/version"}, &version)
	return version, err
}
