package domain_test

import (
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
		{domain.NewFilter([]string{"*"}, nil), "operation.completed", "shop", true},
		{domain.NewFilter([]string{"operation.*"}, nil), "operation.completed", "shop", true},
		{domain.NewFilter([]string{"operation.*"}, nil), "project.created", "shop", false},
		{domain.NewFilter([]string{"operation.completed"}, nil), "operation.completed", "", true},
		{domain.NewFilter([]string{"operation.completed"}, nil), "operation.failed", "shop", false},
		{domain.NewFilter([]string{"operation.failed", "project.*"}, nil), "project.deleted", "shop", true},
		{domain.NewFilter([]string{"*"}, []string{"shop"}), "operation.completed", "blog", false},
		{domain.NewFilter([]string{"*"}, []string{"shop", "blog"}), "operation.completed", "blog", true},
		{domain.NewFilter([]string{"*"}, []string{"shop"}), "webhook.disabled", "", false},
		{domain.NewFilter([]string{"*"}, nil), "key.created", "", false}, // nobody is sent hashes
	} {
		if got := c.filter.Matches(c.kind, c.project); got != c.want {
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

func TestTheBackoffDoublesUpToItsLimit(t *testing.T) {
	b := domain.Backoff{Base: 5 * time.Second, Max: time.Minute}
	for failed, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 5: time.Minute, 6: time.Minute, 1000: time.Minute} {
		if got := b.After(failed, 0); got != want {
			t.Errorf("after %d: %s; want %s", failed, got, want)
		}
		if got := b.After(failed, 0.999); got < want*4/5 || got > want {
			t.Errorf("after %d with jitter: %s, want up to a fifth less than %s", failed, got, want)
		}
	}
}
