package httpapi

import (
	"context"
	"net/http"
	"strconv"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Limits are the rate limits. Each counts what is asked of it, or refuses it with a
// *contract.Error of RATE_LIMITED.
type Limits interface {
	Request(ctx context.Context, key string) (domain.Level, error)
	Start(ctx context.Context, project string) (domain.Level, error)
}

// caller is who makes a request, and how much of his limits is left after it.
type caller struct {
	pass  app.Pass
	level domain.Level
}

// limitRequest counts a request of a key.
func (h *handlers) limitRequest(w http.ResponseWriter, r *http.Request, pass app.Pass) (caller, error) {
	level, err := h.Limits.Request(r.Context(), pass.ID)
	writeLevel(w, level)
	return caller{pass, level}, err
}

// limitStart counts an operation that a request starts in a project.
func (h *handlers) limitStart(w http.ResponseWriter, r *http.Request, project string) error {
	if !validate.IsSlug(project) {
		return nil // there is no such project, as the handler finds out
	}
	level, err := h.Limits.Start(r.Context(), project)
	writeLevel(w, callerOf(r).level.Tighter(level))
	return err
}

// writeLevel tells the limit with the least left, in the three fields that clients
// know: those of the later drafts, RateLimit and RateLimit-Policy, change still.
func writeLevel(w http.ResponseWriter, level domain.Level) {
	if level.Limit == 0 {
		return
	}
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.FormatInt(level.Limit, 10))
	header.Set("RateLimit-Remaining", strconv.FormatInt(level.Remaining, 10))
	header.Set("RateLimit-Reset", strconv.FormatInt(api.Seconds(level.Reset), 10))
}

// counted is a stream: the key may have so many at a time.
func (h *handlers) counted(stream handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		done, err := h.Streams.Open(passOf(r).ID)
		if err != nil {
			return err
		}
		defer done()
		return stream(w, r)
	}
}
