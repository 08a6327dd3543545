package domain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

func TestASecretIsFoundByItsPrefixAndMatchesNoOther(t *testing.T) {
	pepper := domain.NewPepper([]byte("a pepper of thirty-two bytes, ok"))
	seen := map[string]bool{}
	for range 1000 {
		secret := domain.NewSecret()
		prefix, err := domain.PrefixOf(secret)
		if err != nil || !strings.HasPrefix(secret, prefix) || len(prefix) != 17 || len(secret) != 66 {
			t.Fatalf("%s: %q, %v", secret, prefix, err)
		}
		if seen[prefix] || seen[secret] {
			t.Fatal("a secret came twice")
		}
		seen[prefix], seen[secret] = true, true
		hash := pepper.Hash(secret)
		if !pepper.Matches(secret, hash) || pepper.Matches(domain.NewSecret(), hash) || domain.NewPepper([]byte("another")).Matches(secret, hash) {
			t.Fatal("the hash does not tell secrets apart")
		}
	}
}

func TestADamagedSecretIsNone(t *testing.T) {
	secret := domain.NewSecret()
	for i := range secret {
		for _, c := range []string{"", "0", "-", "\x00", "é", "aa"} {
			damaged := secret[:i] + c + secret[i+1:]
			if damaged == secret {
				continue
			}
			if _, err := domain.PrefixOf(damaged); !errors.Is(err, domain.ErrNoSecret) {
				t.Errorf("%q is taken for a secret: %v", damaged, err)
			}
		}
	}
}

// FuzzPrefixOf checks that no text makes the reader panic, and that what it takes
// has the form of a secret.
func FuzzPrefixOf(f *testing.F) {
	for _, text := range []string{"", "rdev_", domain.NewSecret(), strings.Repeat("rdev_", 13) + "0", strings.ToUpper(domain.NewSecret())} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		prefix, err := domain.PrefixOf(text)
		if err == nil && (len(text) != 66 || !strings.HasPrefix(text, prefix) || !strings.HasPrefix(prefix, "rdev_")) {
			t.Errorf("%q is a secret with the prefix %q", text, prefix)
		}
	})
}
