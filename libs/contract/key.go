package contract

import (
	"fmt"
	"time"
)

// Types of the events of an API key.
const (
	TypeKeyCreated  = "created"
	TypeKeyRotated  = "rotated"  // it has another secret; the one before may hold for a while
	TypeKeyBudgeted = "budgeted" // it has another budget
	TypeKeyRenewed  = "renewed"  // it is as before: the log would have forgotten it
	TypeKeyRevoked  = "revoked"  // it never works again
)

// Key is an API key: what the requests that carry one of its secrets may do.
// Every event about it carries all of it, so the log and whoever reads it hold
// hashes: without the gateways' pepper they say nothing about the secrets.
type Key struct {
	ID   string `json:"id"`   // UUID, lower case
	Name string `json:"name"` // its requests have the actor key:<name>
	Rev  int    `json:"rev"`

	Scopes []string `json:"scopes"`
	// Projects are slugs, or patterns as "ci-*", of what it may see and change; all
	// where empty.
	Projects []string `json:"projects,omitempty"`
	// AllowedIPs are the networks that it may be used from; any where empty.
	AllowedIPs []string `json:"allowed_ips,omitempty"`
	Budget     *Budget  `json:"budget,omitempty"` // of what its requests start

	Actor     string     `json:"actor"` // who created it
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`

	// Secrets are the current one, and after a rotation the one before it.
	Secrets []KeySecret `json:"secrets"`

	// Seq is the sequence of the last event in RDEV_EVENTS, set on reading.
	Seq uint64 `json:"seq,omitempty"`
}

// KeySecret is what is known of a secret.
type KeySecret struct {
	Prefix string `json:"prefix"` // its beginning, by which it is found
	Hash   []byte `json:"hash"`   // HMAC-SHA-256 of all of it, under the pepper
	// Until is when it stops to work, where another has taken its place.
	Until *time.Time `json:"until,omitempty"`
	// Request names the request that asked for it, and RequestHash tells that one
	// from another with the same Idempotency-Key.
	Request     string `json:"request"`
	RequestHash string `json:"request_hash"`
}

// NextKey is the key after an event of a type, made of what the writer proposes,
// or an error that wraps [ErrIllegal].
func NextKey(prev *Key, eventType string, proposed Key) (Key, error) {
	next := proposed
	next.Rev, next.Seq = 1, 0
	switch {
	case eventType == TypeKeyCreated && prev == nil:
		return next, nil
	case eventType == TypeKeyRenewed && prev == nil && proposed.RevokedAt == nil:
		next.Rev = proposed.Rev + 1 // what the log forgot, a table remembers
		return next, nil
	case (eventType == TypeKeyRotated || eventType == TypeKeyBudgeted || eventType == TypeKeyRenewed || eventType == TypeKeyRevoked) && prev != nil && prev.RevokedAt == nil:
		next.Rev = prev.Rev + 1
		return next, nil
	case prev == nil:
		return Key{}, fmt.Errorf("%w: %s of a key that is not there", ErrIllegal, eventType)
	case prev.RevokedAt != nil:
		return Key{}, fmt.Errorf("%w: %s of a key that is revoked", ErrIllegal, eventType)
	}
	return Key{}, fmt.Errorf("%w: %s of a key that is there", ErrIllegal, eventType)
}
