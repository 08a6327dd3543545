package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/adapters/postgres"
)

func TestOfManyWhoClaimAHostOneHasIt(t *testing.T) {
	hosts := postgres.Hosts{Pool: open(t)}
	if owner, err := hosts.Owner(t.Context(), "shop.example.com"); owner != "" || err != nil {
		t.Fatalf("%q, %v", owner, err)
	}
	var wg sync.WaitGroup
	owners := make([]string, 8)
	for i := range owners {
		wg.Go(func() {
			var err error
			if owners[i], err = hosts.Claim(t.Context(), fmt.Sprintf("shop-%d", i), "shop.example.com"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, owner := range owners {
		if owner != owners[0] || owner == "" {
			t.Fatalf("it is %q", owners)
		}
	}
	// Nobody else can free it, and who has it can, twice.
	for _, slug := range []string{"other", owners[0], owners[0]} {
		before, err := hosts.Owner(t.Context(), "shop.example.com")
		if err != nil {
			t.Fatal(err)
		}
		if err := hosts.Free(t.Context(), slug, "shop.example.com"); err != nil {
			t.Fatal(err)
		}
		after, err := hosts.Owner(t.Context(), "shop.example.com")
		if want := before; err != nil || slug != before && after != want || slug == before && after != "" {
			t.Errorf("%s freed it: it was %q and is %q, %v", slug, before, after, err)
		}
	}
	if owner, err := hosts.Claim(t.Context(), "other", "shop.example.com"); owner != "other" || err != nil {
		t.Errorf("%q, %v", owner, err)
	}
}
