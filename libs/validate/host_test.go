package validate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/validate"
)

func TestHost(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5) // 250
	for name, want := range map[string]string{
		"shop.example.com":              "shop.example.com",
		"Shop.EXAMPLE.com":              "shop.example.com",
		"shop.localhost":                "shop.localhost",
		"a.b":                           "a.b",
		"1.example.com":                 "1.example.com",
		"a--b.example.com":              "a--b.example.com",
		"bücher.example.com":            "xn--bcher-kva.example.com",
		"XN--BCHER-KVA.example.com":     "xn--bcher-kva.example.com",
		"straße.example.com":            "xn--strae-oqa.example.com",
		"shop。example．com":              "shop.example.com",
		"例え.テスト":                        "xn--r8jz45g.xn--zckzah",
		strings.Repeat("a", 63) + ".b":  strings.Repeat("a", 63) + ".b",
		long + "abc":                    long + "abc",
		"shop.1a.example":               "shop.1a.example",
		strings.Repeat("a.", 126) + "a": strings.Repeat("a.", 126) + "a",
		"a." + strings.Repeat("ü", 50):  "a.xn--tda" + strings.Repeat("a", 49),
	} {
		if got, wrong := validate.Host(name); got != want || wrong != "" {
			t.Errorf("%q is %q, %s; want %q", name, got, wrong, want)
		}
	}
	for name, part := range map[string]string{
		"":                               "labels of 1 to 63",
		".":                              "not end with a dot",
		"shop.example.com.":              "not end with a dot",
		"shop.example.com。":              "not end with a dot",
		".example.com":                   "labels of 1 to 63",
		"shop..com":                      "labels of 1 to 63",
		"shop":                           "two labels or more",
		"localhost":                      "two labels or more",
		"*.example.com":                  "wildcard",
		"shop.*.com":                     "wildcard",
		"10.0.0.1":                       "not an address",
		"10.0.1":                         "not an address",
		"127.0x1":                        "not an address",
		"１２７.0.0.1":                      "not an address",
		"::1":                            "no address",
		"[::1]":                          "no address",
		"shop.example.com:80":            "no address, scheme, port or path",
		"https://shop.example.com":       "no address, scheme, port or path",
		"shop.example.com/a":             "no address, scheme, port or path",
		"a@example.com":                  "no address, scheme, port or path",
		"_rdev.example.com":              "letters, digits and hyphens",
		"my_shop.example.com":            "letters, digits and hyphens",
		"-shop.example.com":              "letters, digits and hyphens",
		"shop-.example.com":              "letters, digits and hyphens",
		"ab--c.example.com":              "letters, digits and hyphens",
		"xn--a.example.com":              "letters, digits and hyphens",
		"shop example.com":               "letters, digits and hyphens",
		"shop.example.com\n":             "letters, digits and hyphens",
		"shop\x00.example.com":           "letters, digits and hyphens",
		"\xff.example.com":               "UTF-8",
		"\ufffd.example.com":             "UTF-8",
		"a\u200db.example.com":           "letters, digits and hyphens", // has a joiner that joins nothing
		"אa.example.com":                 "letters, digits and hyphens", // reads in two directions
		strings.Repeat("a", 64) + ".com": "labels of 1 to 63",
		strings.Repeat("ü", 60) + ".com": "labels of 1 to 63",
		long + "abcd":                    "at most 253",
	} {
		if got, wrong := validate.Host(name); got != "" || !strings.Contains(wrong, part) {
			t.Errorf("%q is %q, %q; want %q", name, got, wrong, part)
		}
	}
}

func TestLabelsThatOthersBelieveAreReserved(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"www", "api", "ns1", "ns22", "mx", "mx2", "smtp", "pop3", "wpad", "isatap", "autodiscover", "localhost", "rdev", "git", "ci", "k8s", "www2"} {
		if !validate.ReservedLabel(label) {
			t.Errorf("%q is free", label)
		}
	}
	for _, label := range []string{"", "shop", "apis", "my-www", "www-2", "nsa", "1", "a1b", "mailer"} {
		if validate.ReservedLabel(label) {
			t.Errorf("%q is reserved", label)
		}
	}
}

// FuzzHost takes whatever somebody calls a host: what it makes of it DNS can have, and is the
// same when it is given in again.
func FuzzHost(f *testing.F) {
	for _, name := range []string{"shop.example.com", "BÜCHER.example.com", "xn--bcher-kva.example.com", "a.b.", "10.0.0.1", "*.a", "a_b.c", "例え.テスト", "xn--a.b", "xn--.b", "a\u200db.c", "\u00ad.a", "a.xn--0-"} {
		f.Add(name)
	}
	valid := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	f.Fuzz(func(t *testing.T, name string) {
		ascii, wrong := validate.Host(name)
		if (ascii == "") != (wrong != "") {
			t.Fatalf("%q is %q, and wrong with it is %q", name, ascii, wrong)
		}
		if wrong != "" {
			return
		}
		if !valid.MatchString(ascii) || len(ascii) > 253 {
			t.Fatalf("%q is %q", name, ascii)
		}
		if again, wrong := validate.Host(ascii); again != ascii || wrong != "" {
			t.Fatalf("%q is %q, and that is %q: %s", name, ascii, again, wrong)
		}
	})
}
