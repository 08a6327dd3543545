package render_test

import (
	"testing"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func TestAWebhookIsDescribedInAWord(t *testing.T) {
	failing := contract.WebhookHealth{Failures: 3}
	for want, webhook := range map[string]contract.Webhook{
		"ok":       {Enabled: true},
		"failing":  {Enabled: true, Health: failing},
		"paused":   {Health: failing},
		"disabled": {DisabledReason: "it failed for 5 days", Health: failing},
	} {
		if got := (render.Style{}).Webhook(webhook); got != want {
			t.Errorf("%+v: %q, want %q", webhook, got, want)
		}
	}
}

func TestAnAttemptIsOneLine(t *testing.T) {
	for want, attempt := range map[string]contract.DeliveryAttempt{
		"204 in 0ms":                               {StatusCode: 204},
		"200 in 1.2s":                              {StatusCode: 200, DurationMS: 1234},
		"no answer in 10s: no answer within 10s":   {DurationMS: 10_000, Error: "no answer within 10s"},
		"500 in 12ms: answered 500 · oh [2J no":    {StatusCode: 500, DurationMS: 12, Error: "answered 500", Response: "oh\x1b[2J\nno"},
		"400 in 999ms: answered 400, for the last": {StatusCode: 400, DurationMS: 999, Error: "answered 400, for the last"},
	} {
		if got := render.Attempt(attempt); got != want {
			t.Errorf("%+v: %q, want %q", attempt, got, want)
		}
	}
	const want = "       7  operation.failed              500    12ms  answered 500 · oh"
	got := render.Style{}.Forwarded(contract.Delivery{Seq: 7, Type: "operation.failed"}, contract.DeliveryAttempt{StatusCode: 500, DurationMS: 12, Error: "answered 500", Response: "oh"})
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
