package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/orchard9/rdev/libs/contract"
)

// Credentials are all credentials of a project, or of the installation where it
// is "", by name and through all pages; never their values.
func (c *Client) Credentials(ctx context.Context, project string) ([]contract.Credential, error) {
	type page struct {
		Credentials []contract.Credential `json:"credentials"`
		NextCursor  string                `json:"next_cursor"`
	}
	return allPages(ctx, c, credentialsPath(project), func(p page) ([]contract.Credential, string) { return p.Credentials, p.NextCursor })
}

// SetCredential sets the value of a credential, a new one or one that exists.
// Only one of the installation may have projects: slugs, or patterns as "ci-*".
func (c *Client) SetCredential(ctx context.Context, credential contract.PutCredential) error {
	body := struct {
		Value    string   `json:"value"`
		Projects []string `json:"projects,omitempty"`
	}{credential.Value, credential.Projects}
	_, err := c.do(ctx, call{method: http.MethodPut, path: credentialPath(credential.Project, credential.Name), body: body}, nil)
	return err
}

// DeleteCredential removes a credential of a project, or of the installation
// where that is "".
func (c *Client) DeleteCredential(ctx context.Context, project, name string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: credentialPath(project, name)}, nil)
	return err
}

// RotateMaster wraps all data keys of the vault under its current master key.
func (c *Client) RotateMaster(ctx context.Context) (contract.MasterRotated, error) {
	var rotated contract.MasterRotated
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/vault/rotate-master"}, &rotated)
	return rotated, err
}

func credentialsPath(project string) string {
	if project == "" {
		return "/credentials"
	}
	return projectPath(project) + "/credentials"
}

func credentialPath(project, name string) string {
	return credentialsPath(project) + "/" + url.PathEscape(name)
}
