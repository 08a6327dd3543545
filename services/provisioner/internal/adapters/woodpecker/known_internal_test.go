package woodpecker

import (
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

// What the CI has before a project comes is taken as it is, or not at all, and given back.
func TestWhatTheCIHasAlreadyIsGivenBackAsItWas(t *testing.T) {
	w := newWorld(t)
	known := func(want bool, says string) {
		t.Helper()
		switch got, err := w.Known(t.Context(), "rdev/shop"); {
		case says != "":
			wantFailure(t, err, contract.ClassUser, says)
		case err != nil || got != want:
			t.Errorf("known %t, %v", got, err)
		}
	}
	known(false, "")
	w.ci.Activate("2", "rdev/shop")
	w.ci.PutSecret("rdev/shop", "npm_token", "theirs", "push")
	w.ci.Push("rdev/shop", "main", "of somebody")
	before := w.ci.Dump()
	known(true, "")
	w.activate(shop(), map[string]string{"DATABASE_URL": "postgres://", "REDIS_URL": "redis://"})
	known(true, "a secret database_url of rdev/shop, which is not this project's: rename it there")
	for range 2 {
		if err := w.Release(t.Context(), shop()); err != nil {
			t.Error(err)
		}
	}
	if after := w.ci.Dump(); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
	w.ci.PutSecret("rdev/shop", "redis_url", "theirs", "push")
	known(true, "a secret redis_url of rdev/shop")
	w.ci.Deactivate("rdev/shop")
	known(true, "runs no pipelines for it: activate it there")
	w.ci.Forget("rdev/shop")
	w.ci.Activate("77", "rdev/shop")
	w.ci.PutSecret("rdev/shop", "database_url", "theirs", "push")
	before = w.ci.Dump()
	if err := w.Release(t.Context(), shop()); err != nil || w.ci.Dump() != before {
		t.Errorf("%v: there is\n%s", err, w.ci.Dump())
	}
}
