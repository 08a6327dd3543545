package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

func TestAnAnswerDecidesWhatBecomesOfAnEvent(t *testing.T) {
	policy := domain.Policy{
		Backoff: domain.Backoff{Base: 5 * time.Second, Max: time.Hour}, GiveUp: 72 * time.Hour, DisableAfter: 120 * time.Hour,
	}
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const first, fourth = 5 * time.Second, 40 * time.Second
	for _, c := range []struct {
		name   string
		try    domain.Try
		want   domain.Verdict
		pause  time.Duration
		reason string
	}{
		{"200", domain.Try{Status: 200, Failures: 9, FailingSince: ago(200 * time.Hour)}, domain.Delivered, 0, ""},
		{"204", domain.Try{Status: 204}, domain.Delivered, 0, ""},
		{"200 that was cut off", domain.Try{Status: 200, Cut: true}, domain.Delivered, 100 * time.Millisecond, ""},
		{"404 that was cut off", domain.Try{Status: 404, Cut: true}, domain.Dead, 100 * time.Millisecond, ""},
		{"500 that was cut off", domain.Try{Status: 500, Cut: true}, domain.Retry, first, ""},
		{"no answer", domain.Try{}, domain.Retry, first, ""},
		{"500", domain.Try{Status: 500, Failures: 3, FailingSince: ago(time.Minute)}, domain.Retry, fourth, ""},
		{"redirect", domain.Try{Status: 302}, domain.Retry, first, ""},
		{"408", domain.Try{Status: 408}, domain.Retry, first, ""},
		{"425", domain.Try{Status: 425}, domain.Retry, first, ""},
		{"429", domain.Try{Status: 429, RetryAfter: time.Minute}, domain.Retry, time.Minute, ""},
		{"429 that wants less", domain.Try{Status: 429, RetryAfter: time.Second}, domain.Retry, first, ""},
		{"503 that wants a year", domain.Try{Status: 503, RetryAfter: 8760 * time.Hour}, domain.Retry, time.Hour, ""},
		{"400", domain.Try{Status: 400}, domain.Dead, 0, ""},
		{"404 while it fails", domain.Try{Status: 404, Failures: 3, FailingSince: ago(time.Minute)}, domain.Dead, 0, ""},
		{"400 that is wanted again", domain.Try{Status: 400, RetryClientErrors: true}, domain.Retry, first, ""},
		{"410", domain.Try{Status: 410, RetryClientErrors: true}, domain.Disable, 0, "410"},
		{"72 hours", domain.Try{Failures: 3, FailingSince: ago(72 * time.Hour), Since: ago(72 * time.Hour)}, domain.Dead, fourth, ""},
		{"nearly", domain.Try{Failures: 3, FailingSince: ago(72 * time.Hour), Since: ago(71 * time.Hour)}, domain.Retry, fourth, ""},
		{"an old event of an endpoint that only now fails", domain.Try{Since: ago(900 * time.Hour)}, domain.Retry, first, ""},
		{"five days", domain.Try{Failures: 200, FailingSince: ago(120 * time.Hour), Since: ago(time.Hour)}, domain.Disable, 0, "2026-03-05"},
	} {
		c.try.Now = now
		if c.try.Since.IsZero() {
			c.try.Since = ago(time.Minute)
		}
		verdict, reason, pause := policy.Judge(c.try)
		if verdict != c.want || pause != c.pause || !strings.Contains(reason, c.reason) || (reason == "") != (c.reason == "") {
			t.Errorf("%s: verdict %d, pause %s, %q; want %d, %s, %q", c.name, verdict, pause, reason, c.want, c.pause, c.reason)
		}
	}
}
