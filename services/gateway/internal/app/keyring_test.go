package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

var (
	pepper = domain.NewPepper([]byte("a pepper of thirty-two bytes, ok"))
	home   = netip.MustParseAddr("10.1.2.3")
)

// keyed is a key with so many secrets, the current one first.
func keyed(id string, seq uint64, secrets ...string) contract.Key {
	key := contract.Key{ID: id, Name: id, Scopes: []string{"commands:run"}, Seq: seq, Rev: 1}
	for _, secret := range secrets {
		prefix, _ := domain.PrefixOf(secret)
		key.Secrets = append(key.Secrets, contract.KeySecret{Prefix: prefix, Hash: pepper.Hash(secret)})
	}
	return key
}

func readRing(keys ...contract.Key) *app.Keyring {
	ring := app.NewKeyring(pepper)
	for _, key := range keys {
		ring.Apply(key)
	}
	ring.LogRead()
	ring.TableRead()
	return ring
}

func codeOf(err error) contract.Code {
	if problem, ok := errors.AsType[*contract.Error](err); ok {
		return problem.Code
	}
	return ""
}

func TestASecretIsCheckedAgainstAllThatIsKnown(t *testing.T) {
	now := time.Now()
	good, old, older, revoked, expired, elsewhere := domain.NewSecret(), domain.NewSecret(), domain.NewSecret(), domain.NewSecret(), domain.NewSecret(), domain.NewSecret()
	rotated := keyed("rotated", 1, good, old, older)
	soon, before := now.Add(time.Minute), now.Add(-time.Second)
	rotated.Secrets[1].Until, rotated.Secrets[2].Until = &soon, &before
	gone := keyed("gone", 2, revoked)
	gone.RevokedAt = &before
	over := keyed("over", 3, expired)
	over.ExpiresAt = &before
	far := keyed("far", 4, elsewhere)
	far.AllowedIPs = []string{"192.168.0.0/16"}
	ring := readRing(rotated, gone, over, far)
	for secret, want := range map[string]contract.Code{
		good: "", old: "", older: contract.CodeKeyRevoked, revoked: contract.CodeKeyRevoked, expired: contract.CodeKeyExpired,
		elsewhere: contract.CodeIPNotAllowed, domain.NewSecret(): contract.CodeUnauthorized, "rdev_x": contract.CodeUnauthorized, "": contract.CodeUnauthorized,
	} {
		pass, err := ring.Check(secret, home, now)
		if codeOf(err) != want || (err == nil) != (want == "") {
			t.Errorf("%s: %v, want %q", secret, err, want)
		}
		if err == nil && (pass.ID != "rotated" || !pass.Has(domain.CommandsRun) || pass.Has(domain.KeysAdmin)) {
			t.Errorf("%s: %+v", secret, pass)
		}
	}
	if pass, _ := ring.Check(old, home, now); !pass.Until.Equal(soon) {
		t.Errorf("a secret that was rotated out ends at %s, want %s", pass.Until, soon)
	}
}

func TestUntilEverythingIsReadNobodyIsCalledUnknown(t *testing.T) {
	known, other := domain.NewSecret(), domain.NewSecret()
	ring := app.NewKeyring(pepper)
	ring.Apply(keyed("known", 1, known))
	if _, err := ring.Check(known, home, time.Now()); codeOf(err) != contract.CodeUnavailable || ring.Ready(t.Context()) == nil {
		t.Errorf("before the log is read: %v; what is known may be revoked further on", err)
	}
	ring.LogRead()
	if _, err := ring.Check(known, home, time.Now()); err != nil || ring.Ready(t.Context()) != nil {
		t.Errorf("before the table is read: %v", err)
	}
	if _, err := ring.Check(other, home, time.Now()); codeOf(err) != contract.CodeUnavailable {
		t.Errorf("an unknown key before the table is read: %v", err)
	}
	ring.TableRead()
	if _, err := ring.Check(other, home, time.Now()); codeOf(err) != contract.CodeUnauthorized {
		t.Errorf("an unknown key: %v", err)
	}
}

func TestWhatIsOlderChangesNothingAndNothingBringsBackARevokedKey(t *testing.T) {
	first, second := domain.NewSecret(), domain.NewSecret()
	ring := readRing(keyed("k", 5, second), keyed("k", 3, first))
	if _, err := ring.Check(first, home, time.Now()); codeOf(err) != contract.CodeUnauthorized {
		t.Errorf("the secret of an older event: %v", err)
	}
	pass, err := ring.Check(second, home, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer pass.OnRevoked(func() { close(ended) })()
	revoked, at := keyed("k", 7, second), time.Now()
	revoked.RevokedAt = &at
	ring.Apply(revoked)
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("who holds a pass is not told that it ended")
	}
	ring.Apply(keyed("k", 9, second))
	if _, err := ring.Check(second, home, time.Now()); codeOf(err) != contract.CodeKeyRevoked {
		t.Errorf("a revoked key that was published once more: %v", err)
	}
}

func TestAKeyThatNoWriterOfOursStoredGrantsNothing(t *testing.T) {
	secret := domain.NewSecret()
	key := keyed("k", 1, secret)
	key.Scopes = []string{"everything"}
	if _, err := readRing(key).Check(secret, home, time.Now()); codeOf(err) != contract.CodeUnauthorized {
		t.Errorf("got %v", err)
	}
}

func TestUsesAreNoted(t *testing.T) {
	one, other := domain.NewSecret(), domain.NewSecret()
	ring := readRing(keyed("one", 1, one), keyed("other", 2, other))
	now := time.Now()
	for _, at := range []time.Time{now, now.Add(-time.Hour)} {
		if _, err := ring.Check(one, home, at); err != nil {
			t.Fatal(err)
		}
	}
	if used := ring.UsedSince(now.Add(-time.Minute)); len(used) != 1 || used["one"].Unix() != now.Unix() {
		t.Errorf("used: %v", used)
	}
}

// keyLog is a log of keys in memory.
type keyLog struct {
	mu   sync.Mutex
	keys map[string]contract.Key
	seq  uint64
}

func (l *keyLog) UpdateKey(_ context.Context, id string, decide func(*contract.Key) (string, contract.Key, error)) (contract.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var prev *contract.Key
	now, ok := l.keys[id]
	if ok {
		prev = &now
	}
	eventType, proposed, err := decide(prev)
	if err != nil || eventType == "" {
		return now, err
	}
	next, err := contract.NextKey(prev, eventType, proposed)
	if err != nil {
		return now, err
	}
	l.seq++
	next.Seq = l.seq
	l.keys[id] = next
	return next, nil
}

func TestAnInstallationHasOneFirstKey(t *testing.T) {
	log := &keyLog{keys: map[string]contract.Key{}}
	ring := readRing()
	keys := &app.Keys{Log: log, Ring: ring, Pepper: pepper}
	first, err := keys.Bootstrap(t.Context(), false)
	if err != nil || first.Name != "admin" {
		t.Fatalf("%+v, %v", first, err)
	}
	if _, err := keys.Bootstrap(t.Context(), false); codeOf(err) != contract.CodeConflict {
		t.Errorf("the second: %v", err)
	}
	// A process that has not heard of the first makes none either.
	if again, err := (&app.Keys{Log: log, Ring: readRing(), Pepper: pepper}).Bootstrap(t.Context(), false); codeOf(err) != contract.CodeConflict {
		t.Errorf("another process: %+v, %v", again, err)
	}
	pass, err := ring.Check(first.Secret, home, time.Now())
	if err != nil || !pass.Has(domain.Admin) {
		t.Fatalf("%+v, %v", pass, err)
	}
	if err := keys.Revoke(t.Context(), pass.Grant, first.ID); err != nil {
		t.Fatal(err)
	}
	if next, err := keys.Bootstrap(t.Context(), false); err != nil || next.Name != "admin-2" || next.Secret == "" {
		t.Errorf("after all were revoked: %+v, %v", next, err)
	}
	if extra, err := keys.Bootstrap(t.Context(), true); err != nil || extra.Secret == "" {
		t.Errorf("once more: %+v, %v", extra, err)
	}
}

// BenchmarkCheck is the check of a key among 100,000; its mark is 5 µs.
func BenchmarkCheck(b *testing.B) {
	ring := app.NewKeyring(pepper)
	secrets := make([]string, 100_000)
	for i := range secrets {
		secrets[i] = domain.NewSecret()
		key := keyed(fmt.Sprintf("key-%d", i), uint64(i+1), secrets[i])
		key.Projects, key.AllowedIPs = []string{"shop", "ci-*"}, []string{"10.0.0.0/8", "192.168.0.0/16"}
		ring.Apply(key)
	}
	ring.LogRead()
	ring.TableRead()
	now, i := time.Now(), 0
	for b.Loop() {
		if _, err := ring.Check(secrets[i*7919%len(secrets)], home, now); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
