package domain_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

func TestAFilterMatchesTypesAndProjects(t *testing.T) {
	for _, c := range []struct {
		filter        domain.Filter
		kind, project string
		want          bool
	}{
		{domain.Filter{Events: []string{"*"}}, "operation.completed", "shop", true},
		{domain.Filter{Events: []string{"operation.*"}}, "operation.completed", "shop", true},
		{domain.Filter{Events: []string{"operation.*"}}, "project.created", "shop", false},
		{domain.Filter{Events: []string{"operation.completed"}}, "operation.completed", "", true},
		{domain.Filter{Events: []string{"operation.completed"}}, "operation.failed", "shop", false},
		{domain.Filter{Events: []string{"operation.failed", "project.*"}}, "project.deleted", "shop", true},
		{domain.Filter{Events: []string{"*"}, Projects: []string{"shop"}}, "operation.completed", "blog", false},
		{domain.Filter{Events: []string{"*"}, Projects: []string{"shop", "blog"}}, "operation.completed", "blog", true},
		{domain.Filter{Events: []string{"*"}, Projects: []string{"shop"}}, "webhook.disabled", "", false},
		{domain.Filter{Events: []string{"*"}}, "key.created", "", false}, // nobody is sent hashes
		{domain.Filter{Events: []string{"*"}, AfterSeq: 7}, "operation.completed", "shop", false},
		{domain.Filter{Events: []string{"*"}, AfterSeq: 6}, "operation.completed", "shop", true},
	} {
		if got := c.filter.Matches(c.kind, c.project, 7); got != c.want {
			t.Errorf("%+v matches %s of %q: %t, want %t", c.filter, c.kind, c.project, got, c.want)
		}
	}
}

func TestOnlyFiltersThatCanMatchAreValid(t *testing.T) {
	for filter, want := range map[string]bool{
		"*": true, "operation.*": true, "operation.cancel_requested": true, "project.created": true,
		"": false, "operation": false, "operation.": false, ".*": false, "*.completed": false, "operation.>": false,
		"operation.Completed": false, "pod.started": false, "operation.completed\n": false,
	} {
		if got := domain.ValidFilter(filter); got != want {
			t.Errorf("%q is valid: %t, want %t", filter, got, want)
		}
	}
}

func TestPrivateTargetsAreRefusedInEverySpelling(t *testing.T) {
	none := domain.Targets{}
	for _, url := range []string{
		"http://127.0.0.1/", "http://127.9.9.9:80", "http://[::1]:8080/x", "http://localhost", "http://LOCALHOST./", "http://a.localhost",
		"http://10.1.2.3", "http://172.16.0.1", "http://192.168.1.1", "http://169.254.169.254/latest", "http://0.0.0.0", "http://100.64.0.1",
		"http://224.0.0.1", "http://255.255.255.255", "http://[fe80::1%25eth0]/", "http://[fd00::1]", "http://[::ffff:10.0.0.1]",
		"http://[64:ff9b::7f00:1]", "http://[2002:7f00:1::]", "http://[::]", "http://[ff02::1]", "http://[::7f00:1]",
	} {
		if err := none.CheckURL(url); !errors.Is(err, domain.ErrTargetNotAllowed) {
			t.Errorf("%s: %v, want ErrTargetNotAllowed", url, err)
		}
	}
	for _, url := range []string{"https://example.com/hook?x=1", "http://93.184.215.14:8443", "https://[2606:4700::1111]/"} {
		if err := none.CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{"", "example.com", "ftp://example.com", "https://", "https://u:p@example.com", "https://example.com/#x", "http://a b"} {
		if err := none.CheckURL(url); err == nil || errors.Is(err, domain.ErrTargetNotAllowed) {
			t.Errorf("%q: %v, want another error", url, err)
		}
	}
	some := domain.Targets{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	if err := some.CheckURL("http://10.1.2.3"); err != nil {
		t.Error(err)
	}
	if err := some.CheckURL("http://[::ffff:10.1.2.3]"); err != nil {
		t.Error(err)
	}
	if err := some.CheckURL("http://10.2.2.3"); err == nil {
		t.Error("an address outside the allowed network is accepted")
	}
}

func TestTheBackoffDoublesUpToItsLimitAndThenEnds(t *testing.T) {
	b := domain.Backoff{Base: 5 * time.Second, Max: time.Minute, MaxAttempts: 7}
	for failed, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 5: time.Minute, 6: time.Minute} {
		if got, ok := b.After(failed, 0); !ok || got != want {
			t.Errorf("after %d: %s, %t; want %s", failed, got, ok, want)
		}
		if got, _ := b.After(failed, 0.999); got < want*4/5 || got > want {
			t.Errorf("after %d with jitter: %s, want up to a fifth less than %s", failed, got, want)
		}
	}
	if pause, ok := b.After(7, 0); ok {
		t.Errorf("after the last attempt: %s, want none", pause)
	}
}
