package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// createKeyRequest is the body of POST /keys.
type createKeyRequest struct {
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	Projects   []string   `json:"projects"`
	AllowedIPs []string   `json:"allowed_ips"`
	ExpiresAt  *time.Time `json:"expires_at"`
}

// rotateKeyRequest is the body of POST /keys/{key}/rotate.
type rotateKeyRequest struct {
	Overlap *string `json:"overlap"` // as "24h", which it is where absent; "0s" ends the last secret at once
}

// Limits of keys.
const (
	maxKeyName     = 64
	maxKeyList     = 100
	defaultOverlap = 24 * time.Hour
	maxOverlap     = 30 * 24 * time.Hour
)

// keyView is a key as the API shows it.
type keyView struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	State      string     `json:"state"`  // active, expired, revoked
	Prefix     string     `json:"prefix"` // how its current secret begins
	Scopes     []string   `json:"scopes"`
	Projects   []string   `json:"projects"`    // all where empty
	AllowedIPs []string   `json:"allowed_ips"` // any where empty
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// Budget is of what it starts; null where it has none.
	Budget *contract.Budget `json:"budget"`
	// OldPrefix is how the secret begins that was rotated out, and OldUntil when it
	// ends: null where there is none that works.
	OldPrefix *string    `json:"old_prefix"`
	OldUntil  *time.Time `json:"old_until"`
}

// issuedView is a key with the secret that it just got.
type issuedView struct {
	keyView

	// Secret is told once: absent where an earlier, same request was told.
	Secret string `json:"secret,omitempty"`
}

func viewKey(key contract.Key, used time.Time) keyView {
	v := keyView{
		ID: key.ID, Name: key.Name, State: app.KeyState(key, time.Now()), Scopes: key.Scopes,
		Projects: append([]string{}, key.Projects...), AllowedIPs: append([]string{}, key.AllowedIPs...),
		CreatedBy: key.Actor, CreatedAt: key.CreatedAt, ExpiresAt: key.ExpiresAt, RevokedAt: key.RevokedAt, Budget: key.Budget,
	}
	if !used.IsZero() {
		v.LastUsedAt = &used
	}
	for i, s := range key.Secrets {
		if i == 0 {
			v.Prefix = s.Prefix
		} else if s.Until != nil && time.Now().Before(*s.Until) && v.State == app.KeyActive {
			v.OldPrefix, v.OldUntil = &s.Prefix, s.Until
		}
	}
	return v
}

func (h *handlers) createKey(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[createKeyRequest](w, r)
	if err != nil {
		return err
	}
	v := validate.New()
	v.Required("name", request.Name)
	v.MaxLen("name", request.Name, maxKeyName)
	v.Check("name", plainName(request.Name), "must be of letters, digits, spaces and . _ @ / -")
	v.Check("scopes", len(request.Scopes) > 0, "is required: a key without scopes may do nothing")
	for field, list := range map[string][]string{"scopes": request.Scopes, "projects": request.Projects, "allowed_ips": request.AllowedIPs} {
		v.Checkf(field, len(list) <= maxKeyList, "must have at most %d entries", maxKeyList)
	}
	v.Check("expires_at", request.ExpiresAt == nil || request.ExpiresAt.After(time.Now()), "must lie in the future")
	if err := v.Err(); err != nil {
		return err
	}
	return h.issue(w, r, http.StatusCreated, func(ctx context.Context, asker app.Asker) (app.IssuedKey, error) {
		return h.Keys.Create(ctx, asker, passOf(r).Grant, app.NewKey{
			Name: request.Name, Scopes: request.Scopes, Projects: request.Projects, AllowedIPs: request.AllowedIPs, ExpiresAt: request.ExpiresAt,
		})
	})
}

// plainName keeps names readable where they stand: in headers, logs and tables.
func plainName(name string) bool {
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == ' ', c == '.', c == '_', c == '@', c == '/', c == '-':
		default:
			return false
		}
	}
	return true
}

func (h *handlers) rotateKey(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[rotateKeyRequest](w, r)
	if err != nil {
		return err
	}
	overlap := defaultOverlap
	if request.Overlap != nil {
		v := validate.New()
		overlap, err = time.ParseDuration(*request.Overlap)
		v.Check("overlap", err == nil, `must be a duration as "24h"`)
		v.Duration("overlap", overlap, 0, maxOverlap)
		if err := v.Err(); err != nil {
			return err
		}
	}
	id, err := keyID(r)
	if err != nil {
		return err
	}
	return h.issue(w, r, http.StatusOK, func(ctx context.Context, asker app.Asker) (app.IssuedKey, error) {
		return h.Keys.Rotate(ctx, asker, passOf(r).Grant, id, overlap)
	})
}

// issue answers with a key and its new secret.
func (h *handlers) issue(w http.ResponseWriter, r *http.Request, status int, do func(context.Context, app.Asker) (app.IssuedKey, error)) error {
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	issued, err := do(r.Context(), asker)
	if err != nil {
		return err
	}
	if issued.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/keys/"+issued.ID)
	api.Write(w, status, issuedView{keyView: viewKey(issued.Key, time.Time{}), Secret: issued.Secret})
	return nil
}

func (h *handlers) listKeys(w http.ResponseWriter, r *http.Request) error {
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = contract.DefaultPage
	}
	keys, more, err := h.Keys.List(passOf(r).Grant, r.URL.Query().Get("cursor"), limit)
	if err != nil {
		return err
	}
	used := h.Keys.LastUsed(r.Context(), keys)
	views := make([]keyView, 0, len(keys))
	for _, key := range keys {
		views = append(views, viewKey(key, used[key.ID]))
	}
	var next *string
	if more {
		next = &keys[len(keys)-1].ID
	}
	api.Write(w, http.StatusOK, map[string]any{"keys": views, "next_cursor": next})
	return nil
}

// keyID is the id in the path. One that cannot be a key's names nothing.
func keyID(r *http.Request) (string, error) {
	id := chi.URLParam(r, "key")
	if !validate.IsID(id) {
		return "", &contract.Error{Code: contract.CodeNotFound, Detail: "there is no key of that id"}
	}
	return id, nil
}

func (h *handlers) getKey(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	return h.writeKey(w, r, id)
}

// getOwnKey shows the key of the request.
func (h *handlers) getOwnKey(w http.ResponseWriter, r *http.Request) error {
	return h.writeKey(w, r, passOf(r).ID)
}

func (h *handlers) writeKey(w http.ResponseWriter, r *http.Request, id string) error {
	key, err := h.Keys.Get(id, passOf(r).Grant)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, viewKey(key, h.Keys.LastUsed(r.Context(), []contract.Key{key})[id]))
	return nil
}

func (h *handlers) revokeKey(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	if err := h.Keys.Revoke(r.Context(), passOf(r).Grant, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
