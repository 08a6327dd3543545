package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/orchard9/rdev/libs/contract"
)

// Agents are the agents that can be given prompts.
func (c *Client) Agents(ctx context.Context) ([]contract.AgentInfo, error) {
	var answer contract.AgentList
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
