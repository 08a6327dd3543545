package validate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/validate"
)

func TestErrorsComeInOrderAndOnePerField(t *testing.T) {
	t.Parallel()
	v := validate.New()
	v.Slug("slug", "Bad Slug")
	v.Check("port", true, "is fine")
	v.Checkf("port", false, "must be below %d", 10)
	v.Check("slug", false, "is not told twice")
	found, ok := errors.AsType[*validate.Errors](v.Err())
	if !ok {
		t.Fatalf("got %v", v.Err())
	}
	encoded, err := json.Marshal(found.Fields)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"field":"slug","message":"must be 1 to 40 of a-z, 0-9 and hyphen, and begin and end with a letter or digit"},{"field":"port","message":"must be below 10"}]`
	if diff := cmp.Diff(want, string(encoded)); diff != "" {
		t.Error(diff)
	}
	if got := found.Error(); !strings.HasPrefix(got, "invalid input: slug must be") || !strings.HasSuffix(got, "; port must be below 10") {
		t.Errorf("got %q", got)
	}
}

func TestNothingFoundIsNoError(t *testing.T) {
	t.Parallel()
	if err := validate.New().Err(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	type check = func(v *validate.Validator, value string)
	maxLen := func(v *validate.Validator, value string) { v.MaxLen("f", value, 3) }
	oneOf := func(v *validate.Validator, value string) { v.OneOf("f", value, "a", "b") }
	field := func(method func(*validate.Validator, string, string)) check {
		return func(v *validate.Validator, value string) { method(v, "f", value) }
	}
	for name, test := range map[string]struct {
		check     check
		good, bad []string
	}{
		"Required": {field((*validate.Validator).Required), []string{"x", " x "}, []string{"", " \t\n"}},
		"MaxLen":   {maxLen, []string{"", "abc", "äöü"}, []string{"abcd", "äöüß"}},
		"NoNUL":    {field((*validate.Validator).NoNUL), []string{"", "ä\n"}, []string{"a\x00b", "\xff"}},
		"OneOf":    {oneOf, []string{"a", "b"}, []string{"", "A", "a, b"}},
		"Slug": {
			field((*validate.Validator).Slug),
			[]string{"a", "0", "my-app", "a--b", strings.Repeat("a", 40)},
			[]string{"", "-a", "a-", "A", "a_b", "ä", "a.b", "a\n", strings.Repeat("a", 41)},
		},
		"ID": {
			field((*validate.Validator).ID),
			[]string{"0198c0de-0000-7000-8000-00000000000a"},
			[]string{"", "0198C0DE-0000-7000-8000-00000000000A", "0198c0de000070008000000000000000", "0198c0de-0000-7000-8000-00000000000a\n", "{0198c0de-0000-7000-8000-00000000000a}"},
		},
		"EnvName": {
			field((*validate.Validator).EnvName),
			[]string{"A", "_x", "PATH_2", "lower"},
			[]string{"", "2A", "A-B", "A=B", "A B", "Ä", strings.Repeat("A", 129)},
		},
		"RelativePath": {
			field((*validate.Validator).RelativePath),
			[]string{"a", ".", "./a", "a/b.txt", "a/../b", "a/b/../../c", "..a", "a..", "a//b"},
			[]string{"", "/", "/a", "..", "../a", "a/../..", "a/../../a", "./..", "a\x00b", `a\b`, `..\a`, `C:\a`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, value := range test.good {
				v := validate.New()
				if test.check(v, value); v.Err() != nil {
					t.Errorf("%q: %v", value, v.Err())
				}
			}
			for _, value := range test.bad {
				v := validate.New()
				if test.check(v, value); v.Err() == nil {
					t.Errorf("%q was accepted", value)
				}
			}
		})
	}
}

func TestDurationIncludesItsBounds(t *testing.T) {
	t.Parallel()
	for value, want := range map[time.Duration]bool{
		time.Second - 1: false, time.Second: true, time.Minute: true, time.Minute + 1: false, -time.Second: false,
	} {
		v := validate.New()
		if v.Duration("timeout", value, time.Second, time.Minute); (v.Err() == nil) != want {
			t.Errorf("%s: %v", value, v.Err())
		}
	}
}
