package app

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

// Keyring is every API key, in memory: requests are checked against it and
// nothing else. It is fed by the log, which tells of each change at once, and by
// the table of what the log has forgotten.
type Keyring struct {
	pepper domain.Pepper

	mu      sync.RWMutex
	keys    map[string]*held  // by id
	secrets map[string]secret // by prefix

	// log and table tell what has been read: until then a key that is not known may
	// be one all the same.
	log, table atomic.Bool
	// told is the sequence of the last event of a key that was told, and awaiting holds
	// a place for each request that waits for more.
	told     atomic.Uint64
	awaiting chan struct{}
}

// held is a key as its last event has it.
type held struct {
	contract.Key

	grant   domain.Grant
	revoked context.Context // done when it is
	revoke  context.CancelFunc
	used    *atomic.Int64 // in Unix seconds, 0 for never
}

type secret struct {
	of   *held
	hash []byte
	// until is when it stops to work; zero for never.
	until time.Time
}

// NewKeyring is one without keys.
func NewKeyring(pepper domain.Pepper) *Keyring {
	return &Keyring{pepper: pepper, keys: map[string]*held{}, secrets: map[string]secret{}, awaiting: make(chan struct{}, maxAwaiting)}
}

// Apply takes a key as an event, or the table, has it. One that is older than what
// is known changes nothing, and nothing brings back one that was revoked.
func (k *Keyring) Apply(key contract.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := &held{Key: key, used: &atomic.Int64{}}
	if before := k.keys[key.ID]; before != nil {
		if before.Seq >= key.Seq || before.RevokedAt != nil {
			return
		}
		next.revoked, next.revoke, next.used = before.revoked, before.revoke, before.used
		for _, s := range before.Secrets {
			delete(k.secrets, s.Prefix)
		}
	}
	if next.revoked == nil {
		next.revoked, next.revoke = context.WithCancel(context.Background())
	}
	// What a writer of ours stored is well formed. Anything else grants nothing.
	if grant, err := domain.NewGrant(key.Scopes, key.Projects, key.AllowedIPs); err == nil {
		next.grant = grant
		for _, s := range key.Secrets {
			kept := secret{of: next, hash: s.Hash}
			if s.Until != nil {
				kept.until = *s.Until
			}
			k.secrets[s.Prefix] = kept
		}
	}
	k.keys[key.ID] = next
	if key.RevokedAt != nil {
		next.revoke()
	}
}

// Told notes how far the log of keys was told.
func (k *Keyring) Told(seq uint64) { k.told.Store(seq) }

const (
	// maxAwaiting is how many requests may wait for the log at a time: nobody who makes
	// keys up is to keep a gateway busy.
	maxAwaiting = 64
	awaitPoll   = 2 * time.Millisecond
	// awaitPatience is how long one waits; a key works everywhere within that.
	awaitPatience = time.Second
)

// Await returns once the keyring knows every key that was made before the call, whose
// last event last tells; a key may be used elsewhere in the moment that it was made.
// False says that it does not know, after a while.
func (k *Keyring) Await(ctx context.Context, last func(context.Context) (uint64, error)) bool {
	select {
	case k.awaiting <- struct{}{}:
	default:
		return false
	}
	defer func() { <-k.awaiting }()
	ctx, cancel := context.WithTimeout(ctx, awaitPatience)
	defer cancel()
	end, err := last(ctx)
	if err != nil {
		return false
	}
	tick := time.NewTicker(awaitPoll)
	defer tick.Stop()
	for k.told.Load() < end {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Used is when a key was used last here, zero for never.
func (k *Keyring) Used(id string) time.Time {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found := k.keys[id]; found != nil {
		return found.lastUsed()
	}
	return time.Time{}
}

func (h *held) lastUsed() time.Time {
	if at := h.used.Load(); at > 0 {
		return time.Unix(at, 0).UTC()
	}
	return time.Time{}
}

// LogRead is called once the keyring holds all that the log has, TableRead once
// it holds all that the table has.
func (k *Keyring) LogRead() { k.log.Store(true) }

// TableRead is told of above.
func (k *Keyring) TableRead() { k.table.Store(true) }

// Pass is what a secret lets its bearer do.
type Pass struct {
	ID, Name string
	domain.Grant

	// Until is when it ends by itself, zero for never.
	Until   time.Time
	revoked context.Context
}

// OnRevoked calls f once the key is revoked, if it ever is before stop.
func (p Pass) OnRevoked(f func()) (stop func() bool) {
	if p.revoked == nil {
		return func() bool { return true } // the zero Pass
	}
	return context.AfterFunc(p.revoked, f)
}

// ErrUnknownKey refuses a secret that is well formed and not known.
var ErrUnknownKey error = &contract.Error{Code: contract.CodeUnauthorized, Detail: "the API key is not known"}

// Check is the pass of a secret that came from an address. The *contract.Error
// says why there is none; nothing is told of a key whose secret was not given.
func (k *Keyring) Check(text string, from netip.Addr, now time.Time) (Pass, error) {
	prefix, err := domain.PrefixOf(text)
	if err != nil {
		return Pass{}, &contract.Error{Code: contract.CodeUnauthorized, Detail: err.Error()}
	}
	if !k.log.Load() {
		return Pass{}, errKeysUnread()
	}
	k.mu.RLock()
	found, ok := k.secrets[prefix]
	k.mu.RUnlock()
	switch {
	case !ok && !k.table.Load():
		return Pass{}, errKeysUnread()
	case !ok || !k.pepper.Matches(text, found.hash):
		return Pass{}, ErrUnknownKey
	}
	key := found.of
	pass := Pass{ID: key.ID, Name: key.Name, Grant: key.grant, Until: found.until, revoked: key.revoked}
	switch {
	case key.RevokedAt != nil:
		return Pass{}, &contract.Error{Code: contract.CodeKeyRevoked, Detail: "the API key was revoked on " + stamp(*key.RevokedAt)}
	case !found.until.IsZero() && !now.Before(found.until):
		return Pass{}, &contract.Error{Code: contract.CodeKeyRevoked, Detail: "this secret of the API key ended on " + stamp(found.until) + "; the key has a newer one"}
	case key.ExpiresAt != nil && !now.Before(*key.ExpiresAt):
		return Pass{}, &contract.Error{Code: contract.CodeKeyExpired, Detail: "the API key expired on " + stamp(*key.ExpiresAt)}
	case !key.grant.From(from):
		return Pass{}, &contract.Error{Code: contract.CodeIPNotAllowed, Detail: "the API key may not be used from " + from.String()}
	}
	if key.ExpiresAt != nil && (pass.Until.IsZero() || key.ExpiresAt.Before(pass.Until)) {
		pass.Until = *key.ExpiresAt
	}
	if at := now.Unix(); at > key.used.Load() {
		key.used.Store(at)
	}
	return pass, nil
}

// Living are the keys that were not revoked. It returns once every key is known, or
// ctx is done.
func (k *Keyring) Living(ctx context.Context) ([]contract.Key, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !k.log.Load() || !k.table.Load() {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
	return k.list(func(key contract.Key, _ domain.Grant) bool { return key.RevokedAt == nil }), nil
}

// Ready tells whether the log has been read: before, nobody is let in.
func (k *Keyring) Ready(context.Context) error {
	if !k.log.Load() {
		return errKeysUnread()
	}
	return nil
}

func errKeysUnread() error {
	return &contract.Error{Code: contract.CodeUnavailable, Detail: "the API keys are not all read yet; ask again in a moment"}
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// get is a key with its grant, or false.
func (k *Keyring) get(id string) (contract.Key, domain.Grant, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found := k.keys[id]; found != nil {
		return found.Key, found.grant, true
	}
	return contract.Key{}, domain.Grant{}, false
}

// Budget is that of a key, nil where it has none.
func (k *Keyring) Budget(id string) *contract.Budget {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if found := k.keys[id]; found != nil {
		return found.Budget
	}
	return nil
}

// count is how many keys there are, whatever their state.
func (k *Keyring) count() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.keys)
}

// list is the keys that are wanted, the newest first.
func (k *Keyring) list(want func(contract.Key, domain.Grant) bool) []contract.Key {
	k.mu.RLock()
	var keys []contract.Key
	for _, found := range k.keys {
		if want(found.Key, found.grant) {
			keys = append(keys, found.Key)
		}
	}
	k.mu.RUnlock()
	slices.SortFunc(keys, func(a, b contract.Key) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return keys
}

// UsedSince is when each key was used last here, by id, of those that were since a
// time, to the second.
func (k *Keyring) UsedSince(since time.Time) map[string]time.Time {
	k.mu.RLock()
	defer k.mu.RUnlock()
	used := map[string]time.Time{}
	for id, found := range k.keys {
		if at := found.lastUsed(); !at.IsZero() && at.Unix() >= since.Unix() {
			used[id] = at
		}
	}
	return used
}
