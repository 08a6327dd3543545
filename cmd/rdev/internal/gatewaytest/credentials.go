package gatewaytest

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Credential is one that was set, with its value, which the gateway never answers.
func (g *Gateway) Credential(project, name string) (value string, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	found, known := g.credentials[[2]string{project, name}]
	return found.Value, known
}

// credential is what is told of one, and its value.
type credential struct {
	contract.Credential

	Value string `json:"-"`
}

// credentialRoutes are those of the installation and of projects.
func (g *Gateway) credentialRoutes(mux *http.ServeMux) {
	for _, at := range []string{"/credentials", "/projects/{project}/credentials"} {
		mux.HandleFunc("GET "+at, g.inProject(g.listCredentials))
		mux.HandleFunc("PUT "+at+"/{name}", g.inProject(g.putCredential))
		mux.HandleFunc("DELETE "+at+"/{name}", g.inProject(g.deleteCredential))
	}
	mux.HandleFunc("POST /vault/rotate-master", g.plain(`{"master_key":"k2","rewrapped":3,"kept":1}`))
}

// inProject calls next where the project of the path is there, or none is named.
func (g *Gateway) inProject(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if slug := r.PathValue("project"); slug != "" && !g.hasProject(slug) {
			notFound(w, "project", slug)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		next(w, r)
	}
}

func (g *Gateway) putCredential(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Value    string
		Projects []string
	}
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	at := [2]string{r.PathValue("project"), r.PathValue("name")}
	if at[1] == "PATH" {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the request is not valid",
			contract.FieldError{Field: "name", Message: "must not be PATH: it decides what a command runs"})
		return
	}
	now := time.Now().UTC()
	g.credentials[at] = credential{Value: body.Value, Credential: contract.Credential{
		Name: at[1], Project: at[0], Projects: body.Projects, Version: g.credentials[at].Version + 1, CreatedAt: now, UpdatedAt: now, Actor: "key:first",
	}}
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) deleteCredential(w http.ResponseWriter, r *http.Request) {
	at := [2]string{r.PathValue("project"), r.PathValue("name")}
	if _, known := g.credentials[at]; !known {
		notFound(w, "credential", at[1])
		return
	}
	delete(g.credentials, at)
	w.WriteHeader(http.StatusNoContent)
}

// listCredentials answers one at a time, so that clients have to turn pages.
func (g *Gateway) listCredentials(w http.ResponseWriter, r *http.Request) {
	list := contract.CredentialList{Credentials: []contract.Credential{}}
	for at, found := range g.credentials {
		if at[0] == r.PathValue("project") && found.Name > r.URL.Query().Get("cursor") {
			list.Credentials = append(list.Credentials, found.Credential)
		}
	}
	slices.SortFunc(list.Credentials, func(a, b contract.Credential) int { return cmp.Compare(a.Name, b.Name) })
	if len(list.Credentials) > 1 {
		list.Credentials = list.Credentials[:1]
		list.NextCursor = &list.Credentials[0].Name
	}
	answer(w, http.StatusOK, list)
}
