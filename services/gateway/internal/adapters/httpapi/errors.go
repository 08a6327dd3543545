package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// problemOf says what an error looks like over HTTP.
func problemOf(err error) *contract.Error {
	var known *contract.Error
	var invalid *validate.Errors
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &invalid):
		known = &contract.Error{Code: contract.CodeInvalidRequest, Detail: invalid.Error()}
		for _, f := range invalid.Fields {
			known.Fields = append(known.Fields, contract.FieldError{Field: f.Field, Message: f.Message})
		}
		return known
	case errors.Is(err, contract.ErrNotFound):
		return &contract.Error{Code: contract.CodeNotFound, Detail: err.Error()}
	case errors.Is(err, contract.ErrIllegal):
		return &contract.Error{Code: contract.CodeConflict, Detail: err.Error()}
	case errors.Is(err, bus.ErrCursorExpired):
		return &contract.Error{Code: contract.CodeCursorExpired, Detail: err.Error() + "; begin again without a cursor"}
	case errors.Is(err, bus.ErrFull):
		return &contract.Error{Code: contract.CodeUnavailable, Detail: "the event log is full; nothing was stored"}
	case errors.Is(err, context.DeadlineExceeded):
		return &contract.Error{Code: contract.CodeUnavailable, Detail: "no answer in time; the same request with the same Idempotency-Key is safe"}
	}
	return nil
}

func (h *handlers) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && !errors.Is(r.Context().Err(), context.DeadlineExceeded) {
		return // the client has gone
	}
	problem := problemOf(err)
	if problem == nil {
		h.logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "request", middleware.GetReqID(r.Context()), "error", err)
		problem = &contract.Error{Code: contract.CodeInternal, Detail: "something went wrong here; the log has it under request " + middleware.GetReqID(r.Context())}
	}
	api.WriteError(w, problem)
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	api.WriteProblem(w, http.StatusMethodNotAllowed, contract.CodeInvalidRequest, r.Method+" is not for "+r.URL.Path)
}

// recoverPanic answers for a handler that could not.
func (h *handlers) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // the value itself is thrown
					panic(v)
				}
				h.logger.Error("panic", "path", r.URL.Path, "error", v)
				api.WriteProblem(w, http.StatusInternalServerError, contract.CodeInternal, "something went wrong here")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// logRequest logs each request once it is answered, streams when they end.
func (h *handlers) logRequest(next http.Handler) http.Handler {
	if !h.logger.Enabled(context.Background(), slog.LevelDebug) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		seen := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		next.ServeHTTP(seen, r)
		h.logger.Debug("request", "method", r.Method, "path", r.URL.Path, "status", seen.Status(),
			"bytes", seen.BytesWritten(), "took", time.Since(begin))
	})
}
