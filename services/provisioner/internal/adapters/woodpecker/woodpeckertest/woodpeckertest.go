// Package woodpeckertest is a CI for tests: what a Woodpecker server 3.17 was measured to
// answer, with its odd answers, kept in memory. It speaks over a real socket, and can be
// told to fail.
//
// It runs nothing: a test says what becomes of a pipeline.
package woodpeckertest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
)

// Token is the personal token that the server takes.
const Token = "ci-token"

// Server is a running fake.
type Server struct {
	URL string

	http  *httptest.Server
	forge func(id string) (name string, ok bool)

	mu        sync.Mutex
	login     bool // the CI's user is known to the forge
	token     bool // the token is taken
	denied    map[string]bool
	repos     map[int64]*repo
	lastRepo  int64
	lastID    int64 // of secrets, pipelines and steps
	calls     []Call
	faults    []*Fault
	pipelined map[string][]string // events for which a branch has pipelines, by <name>@<branch>
	clock     int64               // Unix seconds; each pipeline is a second after the last
}

// Call is a request that came.
type Call struct {
	Method, Path string // with the query
	Body         string
}

// repo is a repository that was activated at some time.
type repo struct {
	id        int64
	forgeID   string
	name      string
	active    bool
	secrets   []secret
	pipelines []*pipeline // the oldest first
}

type secret struct {
	id     int64
	name   string
	value  string
	events []string
}

// New starts a server beside a forge, which tells the full name of a repository by its id.
// Close it.
func New(forge func(id string) (name string, ok bool)) *Server {
	s := &Server{
		forge: forge, login: true, token: true, denied: map[string]bool{}, repos: map[int64]*repo{}, pipelined: map[string][]string{},
		clock: 1_772_366_400,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"source": "woodpecker", "version": "3.17.0"})
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /api/user", s.getUser)
	mux.HandleFunc("POST /api/repos", s.postRepo)
	mux.HandleFunc("GET /api/repos/{repo}", s.inRepo(s.getRepo))
	mux.HandleFunc("DELETE /api/repos/{repo}", s.inRepo(s.deleteRepo))
	mux.HandleFunc("POST /api/repos/{repo}/secrets", s.inRepo(s.postSecret))
	mux.HandleFunc("GET /api/repos/{repo}/secrets", s.inRepo(s.listSecrets))
	mux.HandleFunc("GET /api/repos/{repo}/secrets/{secret}", s.inRepo(s.getSecret))
	mux.HandleFunc("PATCH /api/repos/{repo}/secrets/{secret}", s.inRepo(s.patchSecret))
	mux.HandleFunc("DELETE /api/repos/{repo}/secrets/{secret}", s.inRepo(s.deleteSecret))
	mux.HandleFunc("POST /api/repos/{repo}/pipelines", s.inRepo(s.postPipeline))
	mux.HandleFunc("GET /api/repos/{repo}/pipelines", s.inRepo(s.listPipelines))
	mux.HandleFunc("GET /api/repos/{repo}/pipelines/latest", s.inRepo(s.latestPipeline))
	mux.HandleFunc("GET /api/repos/{repo}/pipelines/{number}", s.inRepo(s.inPipeline(s.getPipeline)))
	mux.HandleFunc("POST /api/repos/{repo}/pipelines/{number}", s.inRepo(s.inPipeline(s.restartPipeline)))
	mux.HandleFunc("POST /api/repos/{repo}/pipelines/{number}/cancel", s.inRepo(s.inPipeline(s.cancelPipeline)))
	mux.HandleFunc("GET /api/repos/{repo}/logs/{number}/{step}", s.inRepo(s.inPipeline(s.getLogs)))
	lookup := http.NewServeMux() // of all below it, whatever else that looks like
	lookup.HandleFunc("GET /api/repos/lookup/{name...}", s.lookup)
	lookup.Handle("/", mux)
	s.http = httptest.NewServer(s.edge(lookup))
	s.URL = s.http.URL
	return s
}

// Close ends the server and whatever hangs.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// Calls are all requests so far, in order.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Expire has the server take the token no more, or again.
func (s *Server) Expire(expired bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = !expired
}

// LogOut has the forge not know the CI's user any more, or again.
func (s *Server) LogOut(out bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login = !out
}

// Deny has the CI's user be no admin of a repository of the forge.
func (s *Server) Deny(forgeID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied[forgeID] = true
}

// edge authenticates, notes and fails requests; each handler has the server to itself.
func (s *Server) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := readBody(r)
		s.mu.Lock()
		s.calls = append(s.calls, Call{r.Method, r.URL.RequestURI(), string(body)})
		fault := s.takeFault(r)
		s.mu.Unlock()
		handle := func(w http.ResponseWriter) {
			s.mu.Lock()
			defer s.mu.Unlock()
			open := r.URL.Path == "/version" || r.URL.Path == "/healthz"
			if !open && (!s.token || r.Header.Get("Authorization") != "Bearer "+Token) {
				plain(w, http.StatusUnauthorized, "User not authorized")
				return
			}
			next.ServeHTTP(w, r)
		}
		if fault == nil {
			handle(w)
			return
		}
		fault.happen(w, r, handle)
	})
}

func (s *Server) getUser(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"id": 1, "forge_id": 1, "forge_remote_id": "1", "login": "rdev-ci", "email": "ci@example.com", "admin": false, "org_id": 1,
	})
}

// inRepo finds the repository of the path.
func (s *Server) inRepo(next func(http.ResponseWriter, *http.Request, *repo)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("repo"), 10, 64)
		if err != nil {
			plain(w, http.StatusBadRequest, "Invalid repo id")
			return
		}
		found, ok := s.repos[id]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		next(w, r, found)
	}
}

// next is the next id of a secret, a pipeline or a step.
func (s *Server) next() int64 {
	s.lastID++
	return s.lastID
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
