// Package httpapi is the gateway's REST API: it reads requests, has the app
// carry them out, and writes what came of them.
//
// A handler returns an error instead of writing one; errors.go is the one place
// that knows what an error looks like over HTTP. openapi.yaml is the contract.
package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Log is what the gateway reads of the log and of the output.
type Log interface {
	Load(ctx context.Context, id string) (contract.Operation, error)
	History(ctx context.Context, entity, id string, upTo uint64) ([]bus.Event, error)
	AwaitEnd(ctx context.Context, op contract.Operation) (contract.Operation, error)
	FollowOutput(ctx context.Context, id string, how bus.Follow) (*bus.OutputFollower, error)
	FollowBuild(ctx context.Context, id string, steps []string, how bus.Follow) (*bus.OutputFollower, error)
	TailEvents(ctx context.Context, after uint64, interval time.Duration, emit func(bus.Event) error, idle func() error) error
	LastEvent(ctx context.Context) (uint64, error)
}

// Config is what the API is made of.
type Config struct {
	App     *app.App
	Log     Log
	Queries Queries
	Keys    *app.Keys
	// Work is the work queue.
	Work app.WorkQueue
	// Files is where artifacts are.
	Files Files
	// Approvals is what waits for somebody's decision.
	Approvals *app.Keeper
	Ring      Ring
	// LastKey is the sequence of the newest event of a key.
	LastKey func(context.Context) (uint64, error)
	Limits  Limits
	Streams *app.Streams
	Proxies Proxies
	Health  *service.Health
	Version string
	Logger  *slog.Logger
	// Unavailable tells whether an error means that what is behind Log and App
	// cannot be reached, which heals by itself.
	Unavailable func(error) bool
	// Heartbeat is how often a quiet stream says that it is alive; 15 seconds
	// where zero.
	Heartbeat time.Duration
	// Stopping is done when streams have to end.
	Stopping context.Context
}

// heartbeat is below the half minute after which proxies take a quiet
// connection for a dead one.
const heartbeat = 15 * time.Second

type handlers struct {
	Config

	spec   *spec
	chunks madeFrames // of RDEV_OUTPUT
	states madeFrames // of RDEV_EVENTS
}

// New is the handler of the whole API.
func New(cfg Config) (*chi.Mux, error) {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = heartbeat
	}
	described, err := loadSpec(cfg.Version)
	if err != nil {
		return nil, err
	}
	h := &handlers{Config: cfg, spec: described}
	r := chi.NewRouter()
	r.Use(h.edge, h.logRequest)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, http.StatusNotFound, contract.CodeNotFound, "there is nothing here; see /docs")
	})
	r.MethodNotAllowed(methodNotAllowed)

	r.Get("/health", cfg.Health.Live)
	r.Get("/ready", cfg.Health.Ready)
	r.Get("/version", h.handle(0, checked(nil, h.getVersion)))
	r.Get("/openapi.json", h.getSpec)
	r.Get("/docs", h.getDocs)
	r.Get("/builds/schema", h.getBuildSchema)

	for _, route := range h.routes() {
		r.Method(route.method, route.path, h.handle(route.timeout, h.authorized(route.scope, checked(route.query, route.handler))))
	}
	return r, nil
}

// handle gives a handler its deadline, 0 for none, and its error to writeError.
func (h *handlers) handle(timeout time.Duration, f handler) http.HandlerFunc {
	if timeout > 0 {
		f = f.within(timeout)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			h.writeError(w, r, err)
		}
	}
}

// checked refuses query parameters but those that a handler takes: one that is
// misspelled would change what is asked for, and nobody would know.
func checked(parameters []string, f handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := checkQuery(r, parameters); err != nil {
			return err
		}
		return f(w, r)
	}
}

// handler answers a request, or returns why it cannot.
type handler func(http.ResponseWriter, *http.Request) error

func (f handler) within(timeout time.Duration) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		return f(w, r.WithContext(ctx))
	}
}

func checkQuery(r *http.Request, parameters []string) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains(parameters, name):
			return invalidQuery(name, fmt.Sprintf("is not known here; %s %s takes %q", r.Method, chi.RouteContext(r.Context()).RoutePattern(), parameters))
		case len(values) > 1:
			return invalidQuery(name, "is given twice")
		}
	}
	return nil
}

func (h *handlers) getVersion(w http.ResponseWriter, _ *http.Request) error {
	api.Write(w, http.StatusOK, map[string]string{"version": h.Version})
	return nil
}
