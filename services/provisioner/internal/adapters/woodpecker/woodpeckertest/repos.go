package woodpeckertest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Activate has the CI have a repository already, as somebody else's, or of a time before.
func (s *Server) Activate(forgeID, name string) (id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.activate(forgeID, name).id
}

// Deactivate ends the pipelines of a repository; the CI keeps it.
func (s *Server) Deactivate(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named(name).active = false
}

// Forget removes a repository, and all that the CI has of it, if it has it.
func (s *Server) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.named(name); found != nil {
		delete(s.repos, found.id)
	}
}

// Repository tells whether the CI has a repository, and whether its pipelines run.
func (s *Server) Repository(name string) (known, active bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.named(name)
	return found != nil, found != nil && found.active
}

// Dump is all that the CI has but for repositories of these names: ids, secrets with their
// values, pipelines.
func (s *Server) Dump(without ...string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, r := range s.repos {
		if slices.Contains(without, r.name) {
			continue
		}
		var text strings.Builder
		fmt.Fprintf(&text, "%d %s of %s active %t", r.id, r.name, r.forgeID, r.active)
		for _, kept := range r.secrets {
			fmt.Fprintf(&text, "\n  secret %d %s=%s for %v", kept.id, kept.name, kept.value, kept.events)
		}
		for _, p := range r.pipelines {
			fmt.Fprintf(&text, "\n  pipeline %d %s %s %s", p.Number, p.Event, p.Branch, p.Status)
		}
		all = append(all, text.String())
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (s *Server) named(name string) *repo {
	for _, r := range s.repos {
		if r.name == name {
			return r
		}
	}
	return nil
}

func (s *Server) ofForge(id string) *repo {
	for _, r := range s.repos {
		if r.forgeID == id {
			return r
		}
	}
	return nil
}

func (s *Server) activate(forgeID, name string) *repo {
	found := s.ofForge(forgeID)
	if found == nil {
		s.lastRepo++
		found = &repo{id: s.lastRepo, forgeID: forgeID}
		s.repos[found.id] = found
	}
	found.active, found.name = true, name
	return found
}

func (s *Server) postRepo(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("forge_remote_id")
	name, there := s.forge(id)
	known := s.ofForge(id)
	switch {
	case id == "":
		plain(w, http.StatusBadRequest, "No forge_remote_id provided")
	case known != nil && known.active:
		plain(w, http.StatusConflict, "Repository is already active.")
	case !there || !s.login:
		plain(w, http.StatusInternalServerError, "Could not fetch repository from forge.")
	case s.denied[id]:
		plain(w, http.StatusForbidden, "User has to be a admin of this repository")
	default:
		answer(w, s.activate(id, name).json())
	}
}

func (s *Server) lookup(w http.ResponseWriter, r *http.Request) {
	found := s.named(r.PathValue("name"))
	if found == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answer(w, found.json())
}

func (s *Server) getRepo(w http.ResponseWriter, _ *http.Request, in *repo) {
	answer(w, in.json())
}

// deleteRepo only deactivates, unless it is told to remove.
func (s *Server) deleteRepo(w http.ResponseWriter, r *http.Request, in *repo) {
	in.active = false
	if r.URL.Query().Get("remove") == "true" {
		delete(s.repos, in.id)
	}
	answer(w, in.json())
}

func (r *repo) json() map[string]any {
	owner, name, _ := strings.Cut(r.name, "/")
	return map[string]any{
		"id": r.id, "forge_id": 1, "forge_remote_id": r.forgeID, "org_id": 2, "owner": owner, "name": name, "full_name": r.name,
		"forge_url": "https://forge.example/" + r.name, "clone_url": "https://forge.example/" + r.name + ".git", "clone_url_ssh": "git@forge.example:" + r.name + ".git",
		"default_branch": "main", "pr_enabled": true, "timeout": 60, "visibility": "private", "private": true,
		"trusted":          map[string]bool{"network": false, "volumes": false, "security": false},
		"require_approval": "forks", "active": r.active, "allow_pr": true, "allow_deploy": false, "config_file": "", "netrc_trusted": []string{},
	}
}
