package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

var (
	// errServerStops ends streams when the gateway does. Their clients resume.
	errServerStops = errors.New("the gateway stops")
	// errKeyEnded ends streams whose key does not work any more. Their clients find
	// out why when they resume.
	errKeyEnded = errors.New("the API key does not work any more")
)

// problemOf says what an error looks like over HTTP, nil where it is nobody's
// but ours.
func (h *handlers) problemOf(err error) *contract.Error {
	var known *contract.Error
	var wrong *validate.Errors
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrong):
		return &contract.Error{Code: contract.CodeInvalidRequest, Detail: wrong.Error(), Fields: wrong.Fields}
	case errors.Is(err, contract.ErrNotFound):
		return &contract.Error{Code: contract.CodeNotFound, Detail: err.Error()}
	case errors.Is(err, contract.ErrIllegal):
		return &contract.Error{Code: contract.CodeConflict, Detail: err.Error()}
	case errors.Is(err, bus.ErrCursorExpired):
		return &contract.Error{Code: contract.CodeCursorExpired, Detail: err.Error() + "; begin again without a cursor"}
	case errors.Is(err, bus.ErrFull):
		return &contract.Error{Code: contract.CodeUnavailable, Detail: "the event log is full; nothing was stored"}
	case errors.Is(err, errKeyEnded):
		return &contract.Error{Code: contract.CodeKeyRevoked, Detail: err.Error()}
	case errors.Is(err, errServerStops):
		return &contract.Error{Code: contract.CodeUnavailable, Detail: "the gateway stops; ask again"}
	case errors.Is(err, context.DeadlineExceeded), err != nil && h.Unavailable(err):
		return &contract.Error{Code: contract.CodeUnavailable, Detail: "no answer in time; the same request with the same Idempotency-Key is safe"}
	}
	return nil
}

func (h *handlers) writeError(w http.ResponseWriter, r *http.Request, err error) {
	problem := h.problemOf(err)
	if problem == nil && errors.Is(r.Context().Err(), context.Canceled) {
		return // the client has gone
	}
	if problem == nil {
		id := uuid.NewString()
		h.Logger.Error("request failed", "id", id, "method", r.Method, "path", r.URL.Path, "error", err)
		problem = &contract.Error{Code: contract.CodeInternal, Detail: "something went wrong here; the log has it under the id " + id}
	}
	api.WriteError(w, problem)
}

// methodNotAllowed names the methods that the path takes.
func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	routes := chi.RouteContext(r.Context()).Routes
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		asked := method
		if method == http.MethodHead {
			asked = http.MethodGet
		}
		if routes.Match(chi.NewRouteContext(), asked, r.URL.Path) {
			allowed = append(allowed, method)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	api.WriteProblem(w, http.StatusMethodNotAllowed, contract.CodeInvalidRequest,
		r.Method+" is not for "+r.URL.Path+", which takes "+strings.Join(allowed, ", "))
}

// protect tells browsers to trust nothing that is not said: an answer is what its
// Content-Type says, is in nobody's frame, and is not kept.
func protect(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	if r.TLS != nil {
		header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// edge is around every request: HEAD is answered as GET would be, without the
// body, and where a handler panics it answers for it.
func (h *handlers) edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // the value itself is thrown
					panic(v)
				}
				h.Logger.Error("panic", "path", r.URL.Path, "error", v)
				api.WriteProblem(w, http.StatusInternalServerError, contract.CodeInternal, "something went wrong here")
			}
		}()
		protect(w, r)
		if r.Method == http.MethodHead {
			chi.RouteContext(r.Context()).RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// logRequest logs each request once it is answered, streams when they end.
func (h *handlers) logRequest(next http.Handler) http.Handler {
	if !h.Logger.Enabled(context.Background(), slog.LevelDebug) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		seen := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(seen, r)
		h.Logger.Debug("request", "method", r.Method, "path", r.URL.Path, "status", seen.Status(),
			"bytes", seen.BytesWritten(), "took", time.Since(begin))
	})
}
