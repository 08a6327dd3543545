package domain_test

import (
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

func TestACredentialIsNamedAsAnEnvironmentVariableThatDoesNoHarm(t *testing.T) {
	for _, name := range []string{"A", "_", "GITHUB_TOKEN", "X2", "PATH_2", "HOMES", "LD", "LDAP_PASSWORD", "RDEV", strings.Repeat("X", 128)} {
		if err := domain.CheckCredentialName(name); err != nil {
			t.Errorf("%s is refused: %v", name, err)
		}
	}
	for name, why := range map[string]string{
		"": "1 to 128", "token": "1 to 128", "2X": "1 to 128", "A-B": "1 to 128", "A=B": "1 to 128", "A\n": "1 to 128", "Ä": "1 to 128",
		"A\x00": "1 to 128", strings.Repeat("X", 129): "1 to 128",
		"PATH": "not be PATH", "HOME": "not be HOME", "LD_PRELOAD": "not be LD_PRELOAD", "LD_": "not be LD_",
		"RDEV_HOME": "begin with RDEV_", "RDEV_": "begin with RDEV_",
	} {
		if err := domain.CheckCredentialName(name); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: got %v, want an error with %q", name, err, why)
		}
	}
}

func TestAValueIsTextThatAnEnvironmentVariableHolds(t *testing.T) {
	for _, value := range []string{"x", " ", "a\nb\r\t", "пароль", strings.Repeat("x", 10)} {
		if err := domain.CheckCredentialValue(value, 12); err != nil {
			t.Errorf("%q is refused: %v", value, err)
		}
	}
	for _, value := range []string{"", "a\x00", "\xff", strings.Repeat("x", 13), "пароль1"} {
		err := domain.CheckCredentialValue(value, 12)
		if err == nil {
			t.Errorf("%q is accepted", value)
		} else if value != "" && strings.Contains(err.Error(), value) {
			t.Errorf("the error has the value: %v", err)
		}
	}
}

func TestAPatternStandsForTheSlugsThatItMatchesAsAWhole(t *testing.T) {
	for _, c := range []struct {
		pattern, slug string
		want          bool
	}{
		{"shop", "shop", true},
		{"shop", "shop-2", false},
		{"shop", "myshop", false},
		{"*", "shop", true},
		{"ci-*", "ci-1", true},
		{"ci-*", "ci-a-b", true},
		{"ci-*", "xci-1", false},
		{"*-ci", "a-ci", true},
		{"*-ci", "a-ci-b", false},
		{"a*b*c", "aXXc", false},
		{"a*b*c", "a1b2c", true},
		{"a*b*c", "abbc", true},
		{"", "shop", false},
		{"*", "", false},
		{"sh?p", "shop", false},
		{"[a-z]*", "shop", false},
		{`sho\p`, "shop", false},
	} {
		if got := domain.ProjectMatches(c.pattern, c.slug); got != c.want {
			t.Errorf("%q and %q: got %t", c.pattern, c.slug, got)
		}
	}
	for _, pattern := range []string{"", "-", "-*", "*-", "Shop", "a b", "a/b", "a.b", ">", "shop\n", strings.Repeat("x", 41)} {
		if domain.ValidProjectPattern(pattern) {
			t.Errorf("%q is accepted", pattern)
		}
	}
}
