package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// Credentials are kept by the vault, which tells their values to running commands
// and nobody else.
type Credentials interface {
	PutCredential(ctx context.Context, put contract.PutCredential) (contract.Credential, error)
	DeleteCredential(ctx context.Context, project, name string) error
	Credentials(ctx context.Context, list contract.ListCredentials) (contract.CredentialList, error)
	RotateMaster(ctx context.Context) (contract.MasterRotated, error)
}

// putCredentialRequest is the body of PUT /credentials/{name}, also of a project.
type putCredentialRequest struct {
	Value    string   `json:"value"`
	Projects []string `json:"projects"` // whose commands may name it; of the installation's only
}

// projectOf is the project that a request is about: the one in the path, or "" for
// the installation, with which a key for some projects has nothing to do.
func projectOf(r *http.Request) (string, error) {
	if chi.URLParam(r, "project") != "" {
		return slugOf(r)
	}
	if pass := passOf(r); !pass.Everywhere() {
		return "", &contract.Error{Code: contract.CodeProjectNotAllowed, Detail: fmt.Sprintf("the API key %q is not for all projects; what belongs to one is below /projects/{project}", pass.Name)}
	}
	return "", nil
}

func (h *handlers) putCredential(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[putCredentialRequest](w, r)
	if err != nil {
		return err
	}
	project, err := projectOf(r)
	if err != nil {
		return err
	}
	v := validate.New()
	v.Check("projects", project == "" || len(request.Projects) == 0, "is for credentials of the installation; this one is of its project alone")
	if err := v.Err(); err != nil {
		return err
	}
	if project != "" {
		if _, err := h.App.Project(r.Context(), project); err != nil {
			return err
		}
	}
	_, err = h.Queries.PutCredential(r.Context(), contract.PutCredential{
		Name: chi.URLParam(r, "name"), Project: project, Projects: request.Projects, Value: request.Value,
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) deleteCredential(w http.ResponseWriter, r *http.Request) error {
	project, err := projectOf(r)
	if err != nil {
		return err
	}
	if err := h.Queries.DeleteCredential(r.Context(), project, chi.URLParam(r, "name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) listCredentials(w http.ResponseWriter, r *http.Request) error {
	project, err := projectOf(r)
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	page, err := h.Queries.Credentials(r.Context(), contract.ListCredentials{Project: project, Limit: limit, Cursor: r.URL.Query().Get("cursor")})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, page)
	return nil
}

// rotateMaster has the vault wrap its data keys under the current master key.
func (h *handlers) rotateMaster(w http.ResponseWriter, r *http.Request) error {
	if _, err := projectOf(r); err != nil {
		return err
	}
	rotated, err := h.Queries.RotateMaster(r.Context())
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, rotated)
	return nil
}
