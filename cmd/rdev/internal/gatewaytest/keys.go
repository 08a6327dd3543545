package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// apiKey is a key as it is shown, and the secrets that it has.
type apiKey struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	State      string     `json:"state"`
	Prefix     string     `json:"prefix"`
	Scopes     []string   `json:"scopes"`
	Projects   []string   `json:"projects"`
	AllowedIPs []string   `json:"allowed_ips"`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	OldPrefix  *string    `json:"old_prefix"`
	OldUntil   *time.Time `json:"old_until"`

	secrets []string // the current one first
	request string   // Idempotency-Key of the one that asked for the current one
}

// firstKey is the one whose secret is Key.
func firstKey() *apiKey {
	return &apiKey{
		ID: "0192bbbb-0000-7000-8000-000000000000", Name: "first", State: "active", Prefix: Key, Scopes: []string{"admin"},
		Projects: []string{}, AllowedIPs: []string{}, CreatedBy: "bootstrap", CreatedAt: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC),
		secrets: []string{Key},
	}
}

// bearer is the key of a secret, nil for none.
func (g *Gateway) bearer(secret string) *apiKey {
	for _, key := range g.keys {
		if slices.Contains(key.secrets, secret) {
			return key
		}
	}
	return nil
}

// issue gives a key another secret, and answers with it unless the same request
// got it before.
func (g *Gateway) issue(w http.ResponseWriter, r *http.Request, status int, key *apiKey, overlap time.Duration) {
	body := map[string]any{}
	if asked := r.Header.Get("Idempotency-Key"); key.request != asked {
		g.secrets++
		if len(key.secrets) > 0 {
			key.OldPrefix, key.OldUntil = nil, nil
			if until := time.Now().Add(overlap).UTC(); overlap > 0 {
				before := key.Prefix
				key.OldPrefix, key.OldUntil = &before, &until
			}
		}
		key.Prefix, key.request = fmt.Sprintf("rdev_%04d", g.secrets), asked
		secret := key.Prefix + "secret"
		key.secrets = append([]string{secret}, key.secrets...)
		body["secret"] = secret
	}
	shown, _ := json.Marshal(key)
	_ = json.Unmarshal(shown, &body)
	answer(w, status, body)
}

func (g *Gateway) createKey(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := &apiKey{
		ID: fmt.Sprintf("0192bbbb-0000-7000-8000-%012d", len(g.keys)), State: "active", CreatedBy: "key:first", CreatedAt: time.Now().UTC(),
		Projects: []string{}, AllowedIPs: []string{},
	}
	if err := json.Unmarshal(readBody(r), key); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	for i, scope := range key.Scopes {
		if scope == "nonsense" {
			field := fmt.Sprintf("scopes[%d]", i)
			problem(w, http.StatusBadRequest, "INVALID_REQUEST", field+": is no scope", contract.FieldError{Field: field, Message: "is no scope"})
			return
		}
	}
	for _, other := range g.keys {
		switch {
		case other.request != "" && other.request == r.Header.Get("Idempotency-Key"):
			g.issue(w, r, http.StatusCreated, other, 0)
			return
		case other.Name == key.Name && other.State == "active":
			problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("there is a key %q already, with the id %s", key.Name, other.ID))
			return
		}
	}
	g.keys = append(g.keys, key)
	g.issue(w, r, http.StatusCreated, key, 0)
}

// listKeys answers two at a time, so that clients have to turn pages.
func (g *Gateway) listKeys(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	page := []*apiKey{}
	var next *string
	for _, key := range slices.Backward(g.keys) {
		if cursor := r.URL.Query().Get("cursor"); cursor != "" && key.ID >= cursor {
			continue
		}
		if len(page) == 2 {
			next = &page[1].ID
			break
		}
		page = append(page, key)
	}
	answer(w, http.StatusOK, map[string]any{"keys": page, "next_cursor": next})
}

// key calls do with the key of the path.
func (g *Gateway) key(do func(http.ResponseWriter, *http.Request, *apiKey)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		id := r.PathValue("key")
		if id == "self" {
			do(w, r, g.bearer(secretOf(r)))
			return
		}
		for _, key := range g.keys {
			if key.ID == id {
				do(w, r, key)
				return
			}
		}
		notFound(w, "key", id)
	}
}

func (g *Gateway) getKey(w http.ResponseWriter, _ *http.Request, key *apiKey) {
	answer(w, http.StatusOK, key)
}

func (g *Gateway) rotateKey(w http.ResponseWriter, r *http.Request, key *apiKey) {
	var body struct{ Overlap string }
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	overlap, _ := time.ParseDuration(body.Overlap)
	if key.RevokedAt != nil {
		problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("key %s is revoked, for good", key.ID))
		return
	}
	g.issue(w, r, http.StatusOK, key, overlap)
}

func (g *Gateway) revokeKey(w http.ResponseWriter, _ *http.Request, key *apiKey) {
	now := time.Now().UTC()
	key.State, key.RevokedAt = "revoked", &now
	w.WriteHeader(http.StatusNoContent)
}
