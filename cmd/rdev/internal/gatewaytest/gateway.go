// Package gatewaytest is a gateway for tests of its clients: it keeps projects,
// operations, work, builds, keys, credentials, budgets and webhooks in memory, plays scripted
// commands, and can be told to fail. It speaks the REST contract over a real socket.
package gatewaytest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Key is the API key that the gateway takes, beside those that it has issued.
const Key = "rdev_test"

// Gateway is a running fake. Its address is Server.URL.
type Gateway struct {
	Server *httptest.Server

	mu         sync.Mutex
	changed    *sync.Cond                   // whenever operations, log or requests grow
	projects   []string                     // slugs, in the order of their creation
	made       map[string]*contract.Project // by slug; see project
	drifts     map[string]string            // differences, by slug and part
	operations []*operation                 // in the order of their creation
	byKey      map[string]string
	log        []event
	requests   []Request
	faults     []Fault

	keys        []*apiKey                  // in the order of their creation
	secrets     int                        // how many were issued
	credentials map[[2]string]credential   // by project and name
	budgets     map[string]contract.Budget // by path of the project or key
	used        map[string]contract.Spend  // today, by the same
	webhooks    []*webhook                 // in the order of their creation
	hooks       int                        // how many were made
	workers     []*worker
	pipelines   []*contract.Pipeline
	torn        map[string]bool // artifacts, by path, whose answer broke off
}

// Streaming is the method of an entry that follows a GET among the requests:
// from here on the stream misses nothing.
const Streaming = "STREAM"

// Request is what the gateway saw of a request.
type Request struct {
	Method, Path   string
	IdempotencyKey string
	LastEventID    string
	Prefer         string
	Body           string
}

// Fault makes the gateway fail one request.
type Fault struct {
	Path       string // it happens to the next request of this path, or to any where empty
	Status     int    // answered at once, or 0 to cut the connection
	RetryAfter string
	// Code and Detail are those of the problem, with a status; UNAVAILABLE where empty.
	Code, Detail string
	// Late lets the request take effect before the connection is cut, so that
	// the client can not tell.
	Late bool
}

type event struct {
	Seq     uint64    `json:"seq"`
	Entity  string    `json:"entity"`
	Type    string    `json:"type"`
	ID      string    `json:"id"`
	Key     string    `json:"key"` // id of the entity
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor"`
	Project string    `json:"project"`
	Source  string    `json:"source,omitempty"`
	Data    any       `json:"data"` // the entity after the event
}

// New starts a gateway with the projects given. Close it.
func New(projects ...string) *Gateway {
	g := &Gateway{
		projects: projects, byKey: map[string]string{}, keys: []*apiKey{firstKey()}, credentials: map[[2]string]credential{},
		budgets: map[string]contract.Budget{}, used: map[string]contract.Spend{}, torn: map[string]bool{},
		made: map[string]*contract.Project{}, drifts: map[string]string{},
		workers: []*worker{{id: "local-1", state: contract.WorkerReady}, {id: "local-2", state: contract.WorkerReady}},
	}
	g.changed = sync.NewCond(&g.mu)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", g.plain(`{"status":"ready"}`))
	mux.HandleFunc("GET /version", g.plain(`{"version":"v1.2.3"}`))
	mux.HandleFunc("GET /agents", g.plain(`{"agents":[{"name":"claude-code","version":"2.1.0","binary":"claude","reports_usage":true,"reports_cost":true},`+
		`{"name":"codex","version":"0.1","binary":"codex","reports_usage":true}]}`))
	g.projectRoutes(mux)
	mux.HandleFunc("POST /projects/{project}/commands", g.createCommand)
	mux.HandleFunc("GET /operations", g.listOperations)
	mux.HandleFunc("GET /operations/{id}", g.getOperation)
	mux.HandleFunc("POST /operations/{id}/cancel", g.cancelOperation)
	mux.HandleFunc("GET /operations/{id}/events", g.history)
	mux.HandleFunc("GET /operations/{id}/output", g.output)
	mux.HandleFunc("GET /events", g.follow)
	mux.HandleFunc("POST /keys", g.createKey)
	mux.HandleFunc("GET /keys", g.listKeys)
	mux.HandleFunc("GET /keys/{key}", g.key(g.getKey))
	mux.HandleFunc("POST /keys/{key}/rotate", g.key(g.rotateKey))
	mux.HandleFunc("DELETE /keys/{key}", g.key(g.revokeKey))
	g.credentialRoutes(mux)
	g.approvalRoutes(mux)
	g.budgetRoutes(mux)
	g.webhookRoutes(mux)
	g.workRoutes(mux)
	g.buildRoutes(mux)
	g.workerRoutes(mux)
	g.pipelineRoutes(mux)
	g.Server = httptest.NewServer(g.edge(mux))
	return g
}

// Close ends the gateway and every stream.
func (g *Gateway) Close() {
	g.Server.CloseClientConnections()
	g.Server.Close()
}

// Fail queues faults; each happens once.
func (g *Gateway) Fail(faults ...Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.faults = append(g.faults, faults...)
}

// Requests are all requests so far, in order.
func (g *Gateway) Requests() []Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Request(nil), g.requests...)
}

// edge authenticates, records and fails requests.
func (g *Gateway) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := readBody(r)
		g.mu.Lock()
		g.requests = append(g.requests, Request{
			Method: r.Method, Path: r.URL.Path, Body: string(body), Prefer: r.Header.Get("Prefer"),
			IdempotencyKey: r.Header.Get("Idempotency-Key"), LastEventID: r.Header.Get("Last-Event-ID"),
		})
		g.changed.Broadcast()
		fault, failing := g.takeFault(r.URL.Path)
		key := g.bearer(secretOf(r))
		revoked := key != nil && key.RevokedAt != nil
		g.mu.Unlock()
		switch {
		case failing && fault.Status != 0:
			if fault.RetryAfter != "" {
				w.Header().Set("Retry-After", fault.RetryAfter)
			}
			problem(w, fault.Status, cmp.Or(fault.Code, "UNAVAILABLE"), cmp.Or(fault.Detail, "the gateway is busy"))
			return
		case failing && fault.Late:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case failing:
			panic(http.ErrAbortHandler)
		}
		open := r.URL.Path == "/ready" || r.URL.Path == "/version" || r.URL.Path == schemaPath
		switch {
		case !open && key == nil:
			problem(w, http.StatusUnauthorized, "UNAUTHORIZED", "the API key is not known")
		case !open && revoked:
			problem(w, http.StatusUnauthorized, "KEY_REVOKED", "the API key was revoked")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// secretOf is the secret that a request carries.
func secretOf(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func (g *Gateway) takeFault(path string) (Fault, bool) {
	for i, fault := range g.faults {
		if fault.Path == "" || fault.Path == path {
			g.faults = append(g.faults[:i:i], g.faults[i+1:]...)
			return fault, true
		}
	}
	return Fault{}, false
}

func (g *Gateway) plain(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, code, detail string, fields ...contract.FieldError) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"code": code, "detail": detail, "errors": fields,
	})
}
