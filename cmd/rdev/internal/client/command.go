package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/orchard9/rdev/libs/contract"
)

// Command is the body of a command. Kind says which of Shell, Git and Agent is
// set; their fields stand beside kind in the JSON.
type Command struct {
	Kind string `json:"kind"` // shell, git, agent

	*contract.Shell
	*contract.Git
	*contract.Agent

	Terms
}

// Terms are on what terms something runs.
type Terms struct {
	Workdir     string            `json:"workdir,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Credentials []string          `json:"credentials,omitempty"`
	Timeout     contract.Duration `json:"timeout,omitzero"`

	// As of a contract.Command.
	Approval        string                 `json:"approval,omitempty"`
	ApprovalTimeout contract.Duration      `json:"approval_timeout,omitzero"`
	ApprovalDefault contract.ApprovalState `json:"approval_default,omitempty"`
}

// Run starts a command in a project. The same idempotency key with the same
// command answers the operation of the first time; "" makes a new one.
func (c *Client) Run(ctx context.Context, project string, command Command, key string) (Accepted, error) {
	return c.start(ctx, call{
		method: http.MethodPost, path: projectPath(project) + "/commands", body: command, key: key,
	})
}

// start makes a call that is answered with an operation.
func (c *Client) start(ctx context.Context, call call) (Accepted, error) {
	var accepted Accepted
	header, err := c.do(ctx, call, &accepted.Operation)
	accepted.Replayed = header.Get("Idempotency-Replayed") == "true"
	return accepted, err
}

func projectPath(slug string) string { return "/projects/" + url.PathEscape(slug) }
