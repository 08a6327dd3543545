package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Project is a project as the gateway shows it. It writes itself as the JSON
// that the gateway sent.
type Project struct {
	Slug      string    `json:"slug"`
	State     string    `json:"state"`
	Template  string    `json:"template"`
	CreatedAt time.Time `json:"created_at"`
	Runtime   struct {
		Kind      string `json:"kind"` // local, kube
		Workspace string `json:"workspace"`
	} `json:"runtime"`
	Repository *struct {
		CloneURL string `json:"clone_url"`
	} `json:"repository"`
	Database *struct {
		Name string `json:"name"`
		Host string `json:"host"`
	} `json:"database"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (p *Project) UnmarshalJSON(data []byte) error {
	type plain Project
	return readDocument(data, (*plain)(p), &p.raw)
}

// MarshalJSON writes the document as it came.
func (p Project) MarshalJSON() ([]byte, error) {
	type plain Project
	return writeDocument(p.raw, plain(p))
}

// NewProject is the body of a project's creation.
type NewProject struct {
	Slug     string `json:"slug"`
	Template string `json:"template,omitempty"`
	Database bool   `json:"database,omitempty"`
}

// Projects are all projects that the key may see, through all pages.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	type page struct {
		Projects   []Project `json:"projects"`
		NextCursor string    `json:"next_cursor"`
	}
	return allPages(ctx, c, "/projects", func(p page) ([]Project, string) { return p.Projects, p.NextCursor })
}

// Project reads one project.
func (c *Client) Project(ctx context.Context, slug string) (Project, error) {
	var project Project
	_, err := c.do(ctx, call{method: http.MethodGet, path: projectPath(slug)}, &project)
	return project, err
}

// CreateProject starts the creation of a project. With wait, the gateway is
// asked to answer when it has ended, which it may not have.
func (c *Client) CreateProject(ctx context.Context, project NewProject, wait bool) (Accepted, error) {
	request := call{method: http.MethodPost, path: "/projects", body: project}
	if wait {
		request.wait = waitTimeout
	}
	return c.start(ctx, request)
}

// DeleteProject starts the deletion of a project; wait is as in CreateProject.
func (c *Client) DeleteProject(ctx context.Context, slug string, wait bool) (Accepted, error) {
	request := call{method: http.MethodDelete, path: projectPath(slug)}
	if wait {
		request.wait = waitTimeout
	}
	return c.start(ctx, request)
}
