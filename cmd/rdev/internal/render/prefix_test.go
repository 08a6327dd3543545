package render_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func TestLinesComeWholeAndWithTheirPrefix(t *testing.T) {
	for name, test := range map[string]struct {
		parts []string
		want  string
	}{
		"lines":       {[]string{"one\ntwo\n"}, "[a] one\n[a] two\n"},
		"in parts":    {[]string{"o", "ne", "\ntw", "o\n\n"}, "[a] one\n[a] two\n[a] \n"},
		"no end":      {[]string{"one\ntw"}, "[a] one\n[a] two\n"},
		"bytes":       {[]string{"\xff\x00\x1b[2J\r\n"}, "[a] \xff\x00\x1b[2J\r\n"},
		"nothing":     {nil, ""},
		"a long line": {[]string{strings.Repeat("x", 70<<10), "y\n"}, "[a] " + strings.Repeat("x", 70<<10) + "\n[a] y\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			lines := &render.Prefixed{Out: &out, Prefix: "[a] "}
			for _, part := range test.parts {
				if n, err := lines.Write([]byte(part)); err != nil || n != len(part) {
					t.Errorf("%d of %d bytes were written, %v", n, len(part), err)
				}
			}
			if err := lines.Flush(); err != nil {
				t.Error(err)
			}
			want := test.want
			if name == "no end" {
				want = "[a] one\n[a] tw\n"
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALineMovesNoCursor(t *testing.T) {
	for given, want := range map[string]string{
		"plain\ttext":                       "plain\ttext",
		"\x1b[1;31mred\x1b[0m":              "\x1b[1;31mred\x1b[0m\x1b[0m",
		"\x1b[2Jgone\x1b[10A":               "gone",
		"\x1b[>4;2mkeys":                    "keys",
		"10%\r50%\r100%":                    "100%",
		"windows\r":                         "windows",
		"\x1b]0;title\atext\x1b]0;t\x1b\\s": "texts",
		"\x1b(Bcharset":                     "charset",
		"a\x00\b\x7fb\u0085\u202e\xffc":     "abc",
		"\x1b":                              "",
		"\x1b[31":                           "",
		"\x1b[31ü":                          "ü",
		"\x1b]0;open":                       "",
		"ünïcode ✓ \ufffd":                  "ünïcode ✓ \ufffd",
	} {
		if got := onScreen(given, true); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
	}
	if got := onScreen("\x1b[31mred\x1b[0m", false); got != "red" {
		t.Errorf("without colors it is %q", got)
	}
}

// onScreen is a line as it comes to a terminal.
func onScreen(line string, color bool) string {
	var out bytes.Buffer
	lines := &render.Prefixed{Out: &out, Screen: true, Color: color}
	if _, err := lines.Write([]byte(line + "\n")); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func FuzzScreen(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b[1;31mred", "a\rb\x1b]0;x\a", "\x1b(B\x1b[>4;2m", "\xff\x1b[31\u00fc", "\x1b\x1b[2J"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		line = strings.ReplaceAll(line, "\n", "")
		got := onScreen(line, true)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\b\a\x00\u0085") {
			t.Errorf("%q is %q", line, got)
		}
		for i, part := range strings.Split(got, "\x1b") {
			// All that is left of escapes sets colors.
			if code, _, found := strings.Cut(part, "m"); i > 0 && (!found || strings.Trim(code, "[0123456789;:") != "") {
				t.Errorf("%q is %q", line, got)
			}
		}
		if plain := onScreen(line, false); strings.Contains(plain, "\x1b") || onScreen(plain, false) != plain {
			t.Errorf("%q without colors is %q, and then %q", line, plain, onScreen(plain, false))
		}
	})
}
