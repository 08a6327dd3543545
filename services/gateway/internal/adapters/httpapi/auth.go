package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"regexp"
	"strings"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Keys tells whose API key a secret is.
type Keys interface {
	// Find returns the key's id and name, or false for a secret that is none.
	Find(secret string) (id, name string, ok bool)
}

// BootstrapKey is the one key of an installation, held as a keyed hash.
type BootstrapKey struct{ pepper, hash []byte }

// NewBootstrapKey makes the key of its secret.
func NewBootstrapKey(secret string) BootstrapKey {
	k := BootstrapKey{pepper: make([]byte, 32)}
	_, _ = rand.Read(k.pepper) // never fails
	k.hash = k.sum(secret)
	return k
}

func (k BootstrapKey) sum(secret string) []byte {
	mac := hmac.New(sha256.New, k.pepper)
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// Find implements Keys, in constant time.
func (k BootstrapKey) Find(secret string) (id, name string, ok bool) {
	return "bootstrap", "bootstrap", hmac.Equal(k.sum(secret), k.hash)
}

type keyContext struct{ id, name string }

type contextKey struct{}

// authenticate lets nobody in without a key.
func authenticate(keys Keys) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if known := withKey(keys, r); known != nil {
				next.ServeHTTP(w, known)
				return
			}
			w.Header().Set("WWW-Authenticate", "Bearer")
			detail := "the API key is not known"
			if secretOf(r) == "" {
				detail = "an API key is needed, in the header X-API-Key or Authorization: Bearer"
			}
			api.WriteProblem(w, http.StatusUnauthorized, contract.CodeUnauthorized, detail)
		})
	}
}

// withKey is the request with its key in the context, nil where it has none that
// is known.
func withKey(keys Keys, r *http.Request) *http.Request {
	id, name, ok := keys.Find(secretOf(r))
	if !ok {
		return nil
	}
	ctx := context.WithValue(r.Context(), contextKey{}, keyContext{id: id, name: name})
	return r.WithContext(bus.WithActor(ctx, "key:"+name))
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
	key, _ := r.Context().Value(contextKey{}).(keyContext)
	asker := app.Asker{Key: key.id, Actor: "key:" + key.name, IdempotencyKey: r.Header.Get("Idempotency-Key")}
	// One that is malformed starts no trace, as W3C wants it.
	if trace := r.Header.Get(contract.HeaderTraceparent); traceparentPattern.MatchString(trace) {
		asker.Traceparent = trace
	}
	if len(asker.IdempotencyKey) > maxIdempotencyKey {
		return asker, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "Idempotency-Key has more than 255 bytes"}
	}
	return asker, nil
}
