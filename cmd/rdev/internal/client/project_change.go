package client

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// changeTimeout is how long the gateway is asked to wait for the end of a change of a
// project: most have ended by then. How others go is in their output.
const changeTimeout = 2 * time.Second

// ProjectChange is a request for an operation on a project: ChangeProject has it carried
// out, PlanProject tells what it would do.
type ProjectChange struct{ call call }

// NewProject is the body of a project's creation.
type NewProject struct {
	Slug       string               `json:"slug"`
	Template   string               `json:"template,omitempty"`
	Values     map[string]string    `json:"values,omitempty"` // of the template's parameters
	Components []contract.Component `json:"components,omitempty"`
	// Repository is nil for what the template needs.
	Repository *NewRepository `json:"repository,omitempty"`
	// Domains is nil for what the gateway gives by itself, and an empty list for none.
	Domains  *[]string `json:"domains,omitempty"`
	Database bool      `json:"database,omitempty"`
	Cache    bool      `json:"cache,omitempty"`
}

// NewRepository is the repository that a new project is to have.
type NewRepository struct {
	Adopt string `json:"adopt,omitempty"` // full name of one that is there
	CI    *bool  `json:"ci,omitempty"`    // nil for yes, where there is a CI
}

// CreateProject makes a project.
func CreateProject(project NewProject) ProjectChange {
	return ProjectChange{call{method: http.MethodPost, path: "/projects", body: project}}
}

// DeleteProject ends a project, but for what is to be kept: repository, database.
func DeleteProject(slug string, keep ...string) ProjectChange {
	query := url.Values{}
	set(query, "keep", strings.Join(keep, ","))
	return ProjectChange{call{method: http.MethodDelete, path: projectPath(slug), query: query}}
}

// RepairProject makes again what a project is to have and has not.
func RepairProject(slug string) ProjectChange {
	return ProjectChange{call{method: http.MethodPost, path: projectPath(slug) + "/repair"}}
}

// AddDomain adds a host to a project: a whole name, or a label below the installation's
// domain.
func AddDomain(slug string, domain contract.Domain) ProjectChange {
	body := map[string]string{"host": domain.Host}
	if domain.AliasOf != "" {
		body["alias_of"] = domain.AliasOf
	}
	return ProjectChange{call{method: http.MethodPost, path: projectPath(slug) + "/domains", body: body}}
}

// RemoveDomain takes a host from a project.
func RemoveDomain(slug, host string) ProjectChange {
	return ProjectChange{call{method: http.MethodDelete, path: projectPath(slug) + "/domains/" + url.PathEscape(host)}}
}

// AddComponents adds components to the monorepo of a project.
func AddComponents(slug string, components []contract.Component) ProjectChange {
	body := map[string]any{"components": components}
	return ProjectChange{call{method: http.MethodPost, path: projectPath(slug) + "/components", body: body}}
}

// AddPart gives a project a part: database, cache.
func AddPart(slug, part string) ProjectChange {
	return ProjectChange{call{method: http.MethodPost, path: projectPath(slug) + "/" + part}}
}

// RemovePart takes a part from a project, with all that is in it.
func RemovePart(slug, part string) ProjectChange {
	return ProjectChange{call{method: http.MethodDelete, path: projectPath(slug) + "/" + part}}
}

// RotatePart gives a part another secret: database, cache, repository.
func RotatePart(slug, part string) ProjectChange {
	return ProjectChange{call{method: http.MethodPost, path: projectPath(slug) + "/" + part + "/rotate"}}
}

// ChangeProject starts an operation on a project. With wait, the gateway is asked to
// answer when it has ended, which it may not have.
func (c *Client) ChangeProject(ctx context.Context, change ProjectChange, wait bool) (Accepted, error) {
	if wait {
		change.call.wait = changeTimeout
	}
	return c.start(ctx, change.call)
}

// ProjectPlan is what an operation on a project would do. It writes itself as the JSON that
// the gateway sent.
type ProjectPlan struct {
	contract.ProjectPlan

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (p *ProjectPlan) UnmarshalJSON(data []byte) error {
	return readDocument(data, &p.ProjectPlan, &p.raw)
}

// MarshalJSON writes the document as it came.
func (p ProjectPlan) MarshalJSON() ([]byte, error) { return writeDocument(p.raw, p.ProjectPlan) }

// PlanProject tells what an operation on a project would do, and what keeps it from that.
// It changes nothing.
func (c *Client) PlanProject(ctx context.Context, change ProjectChange) (ProjectPlan, error) {
	var plan ProjectPlan
	query := url.Values{"dry_run": {"true"}}
	maps.Copy(query, change.call.query)
	change.call.query = query
	_, err := c.do(ctx, change.call, &plan)
	return plan, err
}
