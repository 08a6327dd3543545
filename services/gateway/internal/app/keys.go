package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Keys are the use cases of API keys. Who asks may deal with no key that may do
// more than its own: it is as if that were not there.
type Keys struct {
	Log    KeyLog
	Ring   *Keyring
	Uses   KeyUses
	Pepper domain.Pepper
}

// NewKey is what is asked of a key.
type NewKey struct {
	Name       string
	Scopes     []string
	Projects   []string
	AllowedIPs []string
	ExpiresAt  *time.Time
}

// IssuedKey is a key with a new secret.
type IssuedKey struct {
	contract.Key

	Secret   string // "" where an earlier request got it
	Replayed bool   // that request was the same
}

// Create makes a key. With an idempotency key it is made once; its secret is told
// once, too.
func (k *Keys) Create(ctx context.Context, asker Asker, by domain.Grant, want NewKey) (IssuedKey, error) {
	grant, wrong := domain.NewGrant(want.Scopes, want.Projects, want.AllowedIPs)
	if wrong != nil {
		return IssuedKey{}, invalidField(wrong.Field, wrong.Message)
	}
	if !grant.Within(by) {
		return IssuedKey{}, &contract.Error{Code: contract.CodeScopeMissing, Detail: "a key may not give more than it has: leave out scopes and projects that it does not have"}
	}
	hash, err := hashJSON(want)
	if err != nil {
		return IssuedKey{}, err
	}
	id := asker.RequestID()
	if _, _, there := k.Ring.get(id); !there {
		for _, other := range k.Ring.list(func(other contract.Key, _ domain.Grant) bool { return other.Name == want.Name }) {
			if KeyState(other, time.Now()) == KeyActive {
				return IssuedKey{}, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("there is a key %q already, with the id %s", want.Name, other.ID)}
			}
		}
	}
	return k.issue(ctx, asker, id, hash, func(now *contract.Key, fresh contract.KeySecret) (string, contract.Key, error) {
		if now != nil {
			return "", *now, nil // the same request made it
		}
		return contract.TypeKeyCreated, contract.Key{
			ID: id, Name: want.Name, Scopes: want.Scopes, Projects: want.Projects, AllowedIPs: want.AllowedIPs,
			Actor: asker.Actor, CreatedAt: time.Now().UTC(), ExpiresAt: want.ExpiresAt, Secrets: []contract.KeySecret{fresh},
		}, nil
	})
}

// Rotate gives a key a new secret. The one that it has works on for as long as
// the overlap, and one before that not at all.
func (k *Keys) Rotate(ctx context.Context, asker Asker, by domain.Grant, id string, overlap time.Duration) (IssuedKey, error) {
	if _, err := k.Get(id, by); err != nil {
		return IssuedKey{}, err
	}
	hash, err := hashJSON(overlap)
	if err != nil {
		return IssuedKey{}, err
	}
	return k.issue(ctx, asker, id, hash, func(now *contract.Key, fresh contract.KeySecret) (string, contract.Key, error) {
		switch {
		case now == nil:
			return "", contract.Key{}, noKey(id)
		case now.Secrets[0].Request == fresh.Request:
			return "", *now, nil
		case now.RevokedAt != nil:
			return "", *now, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("key %s is revoked, for good", id)}
		}
		next, until := *now, time.Now().Add(overlap).UTC()
		last := now.Secrets[0]
		last.Until = &until
		next.Secrets = []contract.KeySecret{fresh, last}
		return contract.TypeKeyRotated, next, nil
	})
}

// issue appends an event with a fresh secret, or finds that the same request did.
func (k *Keys) issue(ctx context.Context, asker Asker, id, hash string, decide func(*contract.Key, contract.KeySecret) (string, contract.Key, error)) (IssuedKey, error) {
	text := domain.NewSecret()
	prefix, err := domain.PrefixOf(text)
	if err != nil {
		return IssuedKey{}, fmt.Errorf("make a secret: %w", err)
	}
	fresh := contract.KeySecret{Prefix: prefix, Hash: k.Pepper.Hash(text), Request: asker.RequestID(), RequestHash: hash}
	key, err := k.Log.UpdateKey(ctx, id, func(now *contract.Key) (string, contract.Key, error) { return decide(now, fresh) })
	if err != nil {
		return IssuedKey{}, err
	}
	k.Ring.Apply(key)
	if key.Secrets[0].Prefix == prefix {
		return IssuedKey{Key: key, Secret: text}, nil
	}
	for _, s := range key.Secrets {
		if s.Request == fresh.Request && s.RequestHash != hash {
			return IssuedKey{}, &contract.Error{Code: contract.CodeIdempotencyMismatch, Detail: fmt.Sprintf("Idempotency-Key %q was used for another request, about key %s", asker.IdempotencyKey, id)}
		}
	}
	return IssuedKey{Key: key, Replayed: true}, nil
}

// Revoke ends a key for good. One that is revoked stays so.
func (k *Keys) Revoke(ctx context.Context, by domain.Grant, id string) error {
	if _, err := k.Get(id, by); err != nil {
		return err
	}
	key, err := k.Log.UpdateKey(ctx, id, func(now *contract.Key) (string, contract.Key, error) {
		switch {
		case now == nil:
			return "", contract.Key{}, noKey(id)
		case now.RevokedAt != nil:
			return "", *now, nil
		}
		next, at := *now, time.Now().UTC()
		next.RevokedAt = &at
		return contract.TypeKeyRevoked, next, nil
	})
	if err == nil {
		k.Ring.Apply(key)
	}
	return err
}

// SetBudget gives a key another budget, all of it.
func (k *Keys) SetBudget(ctx context.Context, by domain.Grant, id string, budget contract.Budget) (contract.Key, error) {
	if _, err := k.Get(id, by); err != nil {
		return contract.Key{}, err
	}
	key, err := k.Log.UpdateKey(ctx, id, func(now *contract.Key) (string, contract.Key, error) {
		switch {
		case now == nil:
			return "", contract.Key{}, noKey(id)
		case now.RevokedAt != nil:
			return "", *now, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("key %s is revoked, for good", id)}
		}
		replaced, other := now.Budget.Replaced(budget)
		if !other {
			return "", *now, nil
		}
		next := *now
		next.Budget = replaced
		return contract.TypeKeyBudgeted, next, nil
	})
	if err == nil {
		k.Ring.Apply(key)
	}
	return key, err
}

// Get is a key.
func (k *Keys) Get(id string, by domain.Grant) (contract.Key, error) {
	key, grant, ok := k.Ring.get(id)
	if !ok || !grant.Within(by) {
		return contract.Key{}, noKey(id)
	}
	return key, nil
}

// List is a page of keys, the newest first, after the one with the id in after.
func (k *Keys) List(by domain.Grant, after string, limit int) (keys []contract.Key, more bool, err error) {
	keys = k.Ring.list(func(_ contract.Key, grant domain.Grant) bool { return grant.Within(by) })
	if after != "" {
		at := slices.IndexFunc(keys, func(key contract.Key) bool { return key.ID == after })
		if at < 0 {
			return nil, false, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "the cursor is none of this list"}
		}
		keys = keys[at+1:]
	}
	return keys[:min(limit, len(keys))], len(keys) > limit, nil
}

// LastUsed is when keys were used last, as far as is known: here, and on the other
// gateways up to half a minute ago.
func (k *Keys) LastUsed(ctx context.Context, keys []contract.Key) map[string]time.Time {
	ids := make([]string, 0, len(keys))
	for _, key := range keys {
		ids = append(ids, key.ID)
	}
	used, err := k.Uses.LastUsed(ctx, ids)
	if err != nil {
		used = map[string]time.Time{} // what is known here is better than no answer
	}
	for _, id := range ids {
		if at := k.Ring.Used(id); at.After(used[id]) {
			used[id] = at
		}
	}
	return used
}

// The states of a key.
const (
	KeyActive  = "active"
	KeyExpired = "expired"
	KeyRevoked = "revoked"
)

// KeyState is where a key stands.
func KeyState(key contract.Key, now time.Time) string {
	switch {
	case key.RevokedAt != nil:
		return KeyRevoked
	case key.ExpiresAt != nil && !now.Before(*key.ExpiresAt):
		return KeyExpired
	}
	return KeyActive
}

// bootstrapName is the name of an installation's first key.
const bootstrapName = "admin"

// Bootstrap makes the first key of an installation: one that may do everything.
// Where there is a key that may, and works, there is no need for another, and
// CONFLICT says so, unless one is wanted again. The keyring has to be complete.
func (k *Keys) Bootstrap(ctx context.Context, again bool) (IssuedKey, error) {
	known, now := k.Ring.count(), time.Now()
	admins := k.Ring.list(func(key contract.Key, grant domain.Grant) bool {
		return grant.Has(domain.Admin) && grant.Everywhere() && KeyState(key, now) == KeyActive
	})
	if len(admins) > 0 && !again {
		key := admins[0]
		return IssuedKey{}, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf(
			"this installation has the admin key %q (%s…), made on %s; its secret was told once and is kept nowhere. Whoever has it makes more keys",
			key.Name, key.Secrets[0].Prefix, stamp(key.CreatedAt))}
	}
	// Two that find the same keys make the same id, and one of them is refused.
	asker := Asker{Key: "bootstrap", Actor: "service:gateway", IdempotencyKey: fmt.Sprintf("after %d keys", known)}
	name := bootstrapName
	if known > 0 {
		name = fmt.Sprintf("%s-%d", bootstrapName, known+1)
	}
	issued, err := k.Create(ctx, asker, everything(), NewKey{Name: name, Scopes: []string{string(domain.Admin)}})
	if err == nil && issued.Secret == "" {
		err = &contract.Error{Code: contract.CodeConflict, Detail: "another process makes the first key at this moment"}
	}
	return issued, err
}

// everything is the grant of whoever runs the gateway.
func everything() domain.Grant {
	grant, _ := domain.NewGrant([]string{string(domain.Admin)}, nil, nil) // is well formed
	return grant
}

func noKey(id string) error {
	return &contract.Error{Code: contract.CodeNotFound, Detail: "there is no key " + id}
}

func invalidField(field, message string) error {
	return &contract.Error{Code: contract.CodeInvalidRequest, Detail: field + ": " + message, Fields: []contract.FieldError{{Field: field, Message: message}}}
}

func hashJSON(request any) (string, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return "", fmt.Errorf("encode request: %w", err)
	}
	return hashOf(body), nil
}
