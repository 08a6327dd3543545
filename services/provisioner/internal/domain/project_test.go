package domain_test

import (
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

func TestASlugIsNeverAPath(t *testing.T) {
	for _, slug := range []string{"shop", "a", "0-1", strings.Repeat("x", 40)} {
		if !domain.ValidSlug(slug) {
			t.Errorf("%q is refused", slug)
		}
	}
	for _, slug := range []string{
		"", ".", "..", "../shop", "/shop", "shop/..", "shop/x", ".trash", "Shop", "shop\n", "sh op", "shöp", "shop.x",
		"-", "-shop", "shop-", "*", ">", "shop\x00", strings.Repeat("x", 41),
	} {
		if domain.ValidSlug(slug) {
			t.Errorf("%q is accepted", slug)
		}
	}
}
