package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/contract"
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
		Name     string `json:"name"` // in full, as rdev/shop
		CloneURL string `json:"clone_url"`
		URL      string `json:"url"` // of its page
		Branch   string `json:"branch"`
		Adopted  bool   `json:"adopted"`
	} `json:"repository"`
	CI *struct {
		URL string `json:"url"` // of its page
	} `json:"ci"`
	Components []contract.Component `json:"components"`
	Domains    []Domain             `json:"domains"`
	Database   *struct {
		Name string `json:"name"`
		Host string `json:"host"`
	} `json:"database"`
	Cache *struct {
		User   string `json:"user"`
		Prefix string `json:"prefix"` // of all its keys
		Host   string `json:"host"`
	} `json:"cache"`

	raw json.RawMessage
}

// Domain is a host under which a project is reached.
type Domain struct {
	Host    string `json:"host"`
	URL     string `json:"url"`
	AliasOf string `json:"alias_of,omitempty"`
	DNS     bool   `json:"dns"` // rdev keeps its record
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

// Domains are those of a project, in the order in which they came.
func (c *Client) Domains(ctx context.Context, slug string) ([]Domain, error) {
	var answer struct {
		Domains []Domain `json:"domains"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: projectPath(slug) + "/domains"}, &answer)
	return answer.Domains, err
}

// Components are the parts of a project's monorepo.
func (c *Client) Components(ctx context.Context, slug string) ([]contract.Component, error) {
	var answer struct {
		Components []contract.Component `json:"components"`
	}
	_, err := c.do(ctx, call{method: http.MethodGet, path: projectPath(slug) + "/components"}, &answer)
	return answer.Components, err
}

// Differences is how a project differs from what it is to be. It writes itself as the JSON
// that the gateway sent.
type Differences struct {
	contract.ProjectDifferences

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (d *Differences) UnmarshalJSON(data []byte) error {
	return readDocument(data, &d.ProjectDifferences, &d.raw)
}

// MarshalJSON writes the document as it came.
func (d Differences) MarshalJSON() ([]byte, error) {
	return writeDocument(d.raw, d.ProjectDifferences)
}

// Drift compares a project with the world.
func (c *Client) Drift(ctx context.Context, slug string) (Differences, error) {
	var found Differences
	_, err := c.do(ctx, call{method: http.MethodGet, path: projectPath(slug) + "/drift"}, &found)
	return found, err
}
