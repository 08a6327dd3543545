package woodpeckertest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Secret is a secret's value, which the CI never answers, and the events of pipelines that
// get it.
func (s *Server) Secret(repository, name string) (value string, events []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.named(repository); in != nil {
		if i := in.secret(name); i >= 0 {
			return in.secrets[i].value, slices.Clone(in.secrets[i].events), true
		}
	}
	return "", nil, false
}

// PutSecret sets a secret as somebody does in the CI.
func (s *Server) PutSecret(repository, name, value string, events ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.named(repository)
	if i := in.secret(name); i >= 0 {
		in.secrets[i].value, in.secrets[i].events = value, events
		return
	}
	in.secrets = append(in.secrets, secret{id: s.next(), name: name, value: value, events: events})
}

// secret is where a secret is, -1 for nowhere.
func (r *repo) secret(name string) int {
	return slices.IndexFunc(r.secrets, func(kept secret) bool { return kept.name == name })
}

func (c secret) json(in *repo) map[string]any {
	return map[string]any{"id": c.id, "org_id": 0, "repo_id": in.id, "name": c.name, "images": []string{}, "events": c.events}
}

// secretBody is the body of a secret, empty where the request does not say that it is JSON.
type secretBody struct {
	Name, Value string
	Events      []string
}

func readSecret(r *http.Request) (body secretBody, err error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return body, nil
	}
	err = json.Unmarshal(readBody(r), &body)
	return body, err
}

func (s *Server) postSecret(w http.ResponseWriter, r *http.Request, in *repo) {
	body, err := readSecret(r)
	switch {
	case err != nil:
		plain(w, http.StatusBadRequest, "Error parsing secret. "+err.Error())
	case len(body.Events) == 0:
		plain(w, http.StatusUnprocessableEntity, "Error inserting secret. no event specified")
	case body.Name == "" || body.Value == "":
		plain(w, http.StatusUnprocessableEntity, "Error inserting secret. empty name or value")
	case in.secret(body.Name) >= 0:
		plain(w, http.StatusInternalServerError, `Error inserting secret "`+body.Name+`". duplicate key value violates unique constraint`)
	default:
		kept := secret{id: s.next(), name: body.Name, value: body.Value, events: body.Events}
		in.secrets = append(in.secrets, kept)
		answer(w, kept.json(in))
	}
}

func (s *Server) listSecrets(w http.ResponseWriter, _ *http.Request, in *repo) {
	list := []map[string]any{}
	for _, kept := range in.secrets {
		list = append(list, kept.json(in))
	}
	answer(w, list)
}

func (s *Server) getSecret(w http.ResponseWriter, r *http.Request, in *repo) {
	if i := in.secret(r.PathValue("secret")); i >= 0 {
		answer(w, in.secrets[i].json(in))
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *Server) patchSecret(w http.ResponseWriter, r *http.Request, in *repo) {
	i := in.secret(r.PathValue("secret"))
	body, err := readSecret(r)
	switch {
	case err != nil:
		plain(w, http.StatusBadRequest, "Error parsing secret. "+err.Error())
		return
	case i < 0:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	kept := &in.secrets[i]
	if body.Value != "" {
		kept.value = body.Value
	}
	if len(body.Events) > 0 {
		kept.events = body.Events
	}
	answer(w, kept.json(in))
}

func (s *Server) deleteSecret(w http.ResponseWriter, r *http.Request, in *repo) {
	i := in.secret(r.PathValue("secret"))
	if i < 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	in.secrets = slices.Delete(in.secrets, i, i+1)
	w.WriteHeader(http.StatusNoContent)
}
