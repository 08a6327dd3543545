// Package httpapi is the gateway's REST API: it reads requests, has the app
// carry them out, and writes what came of them.
//
// A handler returns an error instead of writing one; errors.go is the one place
// that knows what an error looks like over HTTP.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

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
	FollowOutput(ctx context.Context, id string, after uint64, idle time.Duration, sink bus.OutputSink) (contract.Operation, error)
	TailEvents(ctx context.Context, after uint64, interval time.Duration, emit func(bus.Event) error, idle func() error) error
	LastEvent(ctx context.Context) (uint64, error)
}

// Config is what the API is made of.
type Config struct {
	App     *app.App
	Log     Log
	Queries Queries
	Keys    Keys
	Health  *service.Health
	Version string
	Logger  *slog.Logger
	// Stopping is done when streams have to end.
	Stopping context.Context
}

type handlers struct {
	app      *app.App
	log      Log
	queries  Queries
	version  string
	logger   *slog.Logger
	stopping context.Context
}

// New is the handler of the whole API.
func New(cfg Config) http.Handler {
	h := &handlers{app: cfg.App, log: cfg.Log, queries: cfg.Queries, version: cfg.Version, logger: cfg.Logger, stopping: cfg.Stopping}
	r := chi.NewRouter()
	r.Use(middleware.RequestID, h.recoverPanic, h.logRequest)
	r.NotFound(h.handle(0, func(http.ResponseWriter, *http.Request) error {
		return &contract.Error{Code: contract.CodeNotFound, Detail: "there is nothing here; see /openapi.json"}
	}))
	r.MethodNotAllowed(methodNotAllowed)

	r.Get("/health", cfg.Health.Live)
	r.Get("/ready", cfg.Health.Ready)
	r.Get("/version", h.handle(0, h.getVersion))

	r.Group(func(r chi.Router) {
		r.Use(authenticate(cfg.Keys))

		r.Post("/projects", h.handle(api.TimeoutOrchestration, h.createProject))
		r.Get("/projects", h.handle(api.TimeoutLookup, h.listProjects))
		r.Get("/projects/{project}", h.handle(api.TimeoutFastLookup, h.getProject))
		r.Delete("/projects/{project}", h.handle(api.TimeoutOrchestration, h.deleteProject))
		r.Post("/projects/{project}/commands", h.handle(api.TimeoutOrchestration, h.runCommand))

		r.Get("/operations", h.handle(api.TimeoutLookup, h.listOperations))
		r.Get("/operations/{id}", h.handle(api.TimeoutFastLookup, h.getOperation))
		r.Post("/operations/{id}/cancel", h.handle(api.TimeoutOrchestration, h.cancelOperation))
		r.Get("/operations/{id}/events", h.handle(api.TimeoutLookup, h.getHistory))
		r.Get("/operations/{id}/output", h.handle(0, h.streamOutput))
		r.Get("/operations/{id}/output/ws", h.handle(0, h.streamOutputWS))
		r.Get("/events", h.handle(0, h.streamEvents))

		r.Get("/agents", h.handle(api.TimeoutLookup, h.listAgents))

	})
	return r
}

// handle gives a handler its deadline, 0 for none, and its error to writeError.
func (h *handlers) handle(timeout time.Duration, f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if timeout > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		if err := f(w, r); err != nil {
			h.writeError(w, r, err)
		}
	}
}

func (h *handlers) getVersion(w http.ResponseWriter, _ *http.Request) error {
	api.Write(w, http.StatusOK, map[string]string{"version": h.version})
	return nil
}
