package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Key is an API key as the gateway shows it. It writes itself as the JSON that
// the gateway sent.
type Key struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	State      string     `json:"state"`  // active, expired, revoked
	Prefix     string     `json:"prefix"` // how its current secret begins
	Scopes     []string   `json:"scopes"`
	Projects   []string   `json:"projects"`    // slugs and patterns, all where empty
	AllowedIPs []string   `json:"allowed_ips"` // any where empty
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// OldPrefix is how the secret begins that was rotated out and works until
	// OldUntil; "" where there is none.
	OldPrefix string     `json:"old_prefix"`
	OldUntil  *time.Time `json:"old_until"`

	// Secret is told by the creation and the rotation alone, and once: it is empty
	// where an earlier try of the same request was told, whose answer was lost.
	Secret string `json:"secret"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (k *Key) UnmarshalJSON(data []byte) error {
	type plain Key
	return readDocument(data, (*plain)(k), &k.raw)
}

// MarshalJSON writes the document as it came.
func (k Key) MarshalJSON() ([]byte, error) {
	type plain Key
	return writeDocument(k.raw, plain(k))
}

// NewKey is the body of a key's creation.
type NewKey struct {
	Name       string     `json:"name"`
	Scopes     []string   `json:"scopes"`
	Projects   []string   `json:"projects,omitempty"`    // slugs, or patterns as "ci-*"
	AllowedIPs []string   `json:"allowed_ips,omitempty"` // addresses, or networks as "10.0.0.0/8"
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
}

// Keys are all keys that may do no more than the one of this client, the newest
// first, through all pages.
func (c *Client) Keys(ctx context.Context) ([]Key, error) {
	type page struct {
		Keys       []Key  `json:"keys"`
		NextCursor string `json:"next_cursor"`
	}
	return allPages(ctx, c, "/keys", func(p page) ([]Key, string) { return p.Keys, p.NextCursor })
}

// Key reads one key; the id "self" stands for the one of this client.
func (c *Client) Key(ctx context.Context, id string) (Key, error) {
	var key Key
	_, err := c.do(ctx, call{method: http.MethodGet, path: keyPath(id)}, &key)
	return key, err
}

// CreateKey makes a key and tells its secret.
func (c *Client) CreateKey(ctx context.Context, key NewKey) (Key, error) {
	var made Key
	_, err := c.do(ctx, call{method: http.MethodPost, path: "/keys", body: key}, &made)
	return made, err
}

// RotateKey gives a key another secret and tells it. The one before works on for
// the overlap, at most 30 days.
func (c *Client) RotateKey(ctx context.Context, id string, overlap time.Duration) (Key, error) {
	body := struct {
		Overlap contract.Duration `json:"overlap"`
	}{contract.Duration(overlap)}
	var rotated Key
	_, err := c.do(ctx, call{method: http.MethodPost, path: keyPath(id) + "/rotate", body: body}, &rotated)
	return rotated, err
}

// RevokeKey ends a key for good. One that is revoked stays so.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: keyPath(id)}, nil)
	return err
}

func keyPath(id string) string { return "/keys/" + url.PathEscape(id) }
