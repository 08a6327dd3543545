package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Ring is what API keys are checked against.
type Ring interface {
	Check(secret string, from netip.Addr, now time.Time) (app.Pass, error)
	Await(ctx context.Context, last func(context.Context) (uint64, error)) bool
}

type contextKey struct{}

// passOf is what the key of a request lets it do.
func passOf(r *http.Request) app.Pass {
	return callerOf(r).pass
}

func callerOf(r *http.Request) caller {
	found, _ := r.Context().Value(contextKey{}).(caller)
	return found
}

// authorized lets a request pass whose key makes no more than it may, has the scope
// and, where the path names a project, is good for that.
func (h *handlers) authorized(scope domain.Scope, next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		secret := secretOf(r)
		if secret == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			return &contract.Error{Code: contract.CodeUnauthorized, Detail: "an API key is needed, in the header X-API-Key or Authorization: Bearer"}
		}
		pass, err := h.check(r, secret)
		if err != nil {
			w.Header().Set("WWW-Authenticate", "Bearer")
			return err
		}
		found, err := h.limitRequest(w, r, pass)
		if err != nil {
			return err
		}
		if scope != anyKey && !pass.Has(scope) {
			return &contract.Error{Code: contract.CodeScopeMissing, Detail: fmt.Sprintf("the API key %q has not the scope %s", pass.Name, scope)}
		}
		if project := chi.URLParam(r, "project"); project != "" {
			if err := requireProject(pass, project); err != nil {
				return err
			}
		}
		ctx := context.WithValue(r.Context(), contextKey{}, found)
		return next(w, r.WithContext(bus.WithActor(ctx, "key:"+pass.Name)))
	}
}

// check is the pass of a secret. One that is not known may have been made elsewhere a
// moment ago.
func (h *handlers) check(r *http.Request, secret string) (app.Pass, error) {
	from := h.Proxies.clientOf(r)
	pass, err := h.Ring.Check(secret, from, time.Now())
	if errors.Is(err, app.ErrUnknownKey) && h.Ring.Await(r.Context(), h.LastKey) {
		return h.Ring.Check(secret, from, time.Now())
	}
	return pass, err
}

// requireProject refuses what a key may not see.
func requireProject(pass app.Pass, project string) error {
	if pass.Sees(project) {
		return nil
	}
	return &contract.Error{Code: contract.CodeProjectNotAllowed, Detail: fmt.Sprintf("the API key %q is for other projects: %s", pass.Name, strings.Join(pass.Projects(), ", "))}
}

// requireOperation refuses an operation of a project that the request's key may
// not see, and costs nothing where that is all of them.
func (h *handlers) requireOperation(ctx context.Context, r *http.Request, id string) error {
	pass := passOf(r)
	if pass.Everywhere() {
		return nil
	}
	op, err := h.load(ctx, id)
	if err != nil {
		return err
	}
	return requireProject(pass, op.Project)
}

// secretOf is the key that a request carries, "" for none.
func secretOf(r *http.Request) string {
	if secret := r.Header.Get("X-API-Key"); secret != "" {
		return secret
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// maxIdempotencyKey is the most that the header may have, in bytes.
const maxIdempotencyKey = 255

var traceparentPattern = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

func askerOf(r *http.Request) (app.Asker, error) {
	pass := passOf(r)
	asker := app.Asker{Key: pass.ID, Actor: "key:" + pass.Name, IdempotencyKey: r.Header.Get("Idempotency-Key")}
	// One that is malformed starts no trace, as W3C wants it.
	if trace := r.Header.Get(contract.HeaderTraceparent); traceparentPattern.MatchString(trace) {
		asker.Traceparent = trace
	}
	if len(asker.IdempotencyKey) > maxIdempotencyKey {
		return asker, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "Idempotency-Key has more than 255 bytes"}
	}
	return asker, nil
}
