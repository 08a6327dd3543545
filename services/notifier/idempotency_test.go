package notifier_test

import (
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func TestARotationThatComesAgainIsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := w.create("https://example.com/hook")
	rotate := func(request string) contract.Webhook {
		t.Helper()
		rotated, known := call[contract.RotateWebhook, contract.Webhook](w, contract.VerbRotateWebhook,
			contract.RotateWebhook{ID: hook.ID, Overlap: contract.Duration(time.Hour), Request: request})
		if known != nil {
			t.Fatal(known)
		}
		return rotated
	}
	first, again, other := rotate("r-1"), rotate("r-1"), rotate("r-2")
	if first.Secret == "" || again.Secret != "" || again.Rev != first.Rev || other.Secret == "" || other.Secret == first.Secret || other.Rev != first.Rev+1 {
		t.Errorf("first %+v\nagain %+v\nother %+v", first, again, other)
	}
}
