package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/redact"
)

const (
	plain = "s3cr3t-v4lue"
	rich  = "a\"b\\c <d>&/é☃😀 +%=~!'(x)"
)

// pem is a key of several lines, made up.
const pem = "-----BEGIN PRIVATE KEY-----\n" +
	"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDJ8Zqk7Xn2PfW1\n" +
	"q0yTz5uB3mKc8dR1sVhE9aL4tGxN7oYbJ2iUwQeC6rFpXkD5vSgHjMlZnAyTfBue\n" +
	"Q2xhdWRl\n" +
	"-----END PRIVATE KEY-----\n"

func broken(text string, width int, end string) string {
	var out strings.Builder
	for i := 0; i < len(text); i += width {
		out.WriteString(text[i:min(i+width, len(text))] + end)
	}
	return out.String()
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	out, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEveryFormOfAValueIsMasked(t *testing.T) {
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	long := strings.Repeat("0123456789abcdefghij", 8)
	values := map[string]string{"PLAIN": plain, "RICH": rich, "PEM": pem, "LONG": long, "LINE": "one-line-of-a-file\n"}
	s := redact.New(values)
	for name, c := range map[string]struct{ text, want string }{
		"as it is":                  {"<" + plain + ">", "<[redacted:PLAIN]>"},
		"alone":                     {plain, "[redacted:PLAIN]"},
		"twice, without a space":    {plain + plain, "[redacted:PLAIN][redacted:PLAIN]"},
		"base64":                    {b64(plain), "[redacted:PLAIN]"},
		"base64, padded":            {b64(plain + "!"), "[redacted:PLAIN]IQ=="},
		"base64, after 1":           {b64("u" + plain), "dX[redacted:PLAIN]"},
		"base64, after 2":           {b64("u:" + plain), "dTp[redacted:PLAIN]"},
		"base64, unpadded":          {strings.TrimRight(b64("u:"+plain), "="), "dTp[redacted:PLAIN]"},
		"base64, in the midst":      {b64("user:" + plain + ":rest"), "dXNlcjp[redacted:PLAIN]6cmVzdA=="},
		"base64 for URLs":           {base64.URLEncoding.EncodeToString([]byte(rich)), "[redacted:RICH]"},
		"base64 in lines":           {broken(b64(long), 76, "\n"), "[redacted:LONG]\n"},
		"base64 in lines of DOS":    {broken(b64(long), 64, "\r\n"), "[redacted:LONG]\r\n"},
		"hexadecimal":               {hex.EncodeToString([]byte(plain)), "[redacted:PLAIN]"},
		"hexadecimal in lines":      {broken(hex.EncodeToString([]byte(long)), 60, "\n"), "[redacted:LONG]\n"},
		"upper case hexadecimal":    {strings.ToUpper(hex.EncodeToString([]byte(plain))), "[redacted:PLAIN]"},
		"JSON":                      {quoted(t, rich), `"[redacted:RICH]"`},
		"JSON in JSON":              {quoted(t, quoted(t, rich)), `"\"[redacted:RICH]\""`},
		"JSON in ASCII":             {`"a\"b\\c <d>&/\u00e9\u2603\ud83d\ude00 +%=~!'(x)"`, `"[redacted:RICH]"`},
		"JSON with escaped slashes": {`"a\"b\\c <d>&\/\u00e9\u2603\ud83d\ude00 +%=~!'(x)"`, `"[redacted:RICH]"`},
		"JSON of PEM":               {quoted(t, pem), `"[redacted:PEM]"`},
		"a query":                   {"?k=" + url.QueryEscape(rich), "?k=[redacted:RICH]"},
		"a query in lower case":     {strings.ToLower(url.QueryEscape(rich)), "[redacted:RICH]"},
		"a path":                    {"/" + url.PathEscape(rich) + "/", "/[redacted:RICH]/"},
		"encodeURIComponent":        {"a%22b%5Cc%20%3Cd%3E%26%2F%C3%A9%E2%98%83%F0%9F%98%80%20%2B%25%3D~!'(x)", "[redacted:RICH]"},
		"PEM":                       {pem, "[redacted:PEM]"},
		"PEM of DOS":                {strings.ReplaceAll(pem, "\n", "\r\n"), "-----BEGIN PRIVATE KEY-----\r\n[redacted:PEM]\r\n[redacted:PEM]\r\n[redacted:PEM]\r\n-----END PRIVATE KEY-----\r\n"},
		"a line of PEM, indented":   {"  " + strings.Split(pem, "\n")[1], "  [redacted:PEM]"},
		"without its line end":      {"(one-line-of-a-file)", "([redacted:LINE])"},
		"nothing":                   {"s3cr3t v4lue and so on", "s3cr3t v4lue and so on"},
	} {
		if got := s.Text(c.text); got != c.want {
			t.Errorf("%s: %q is masked as %q, want %q", name, c.text, got, c.want)
		}
	}
}

func TestShortValuesAreMaskedAsFarAsThatMakesSense(t *testing.T) {
	s := redact.New(map[string]string{"TWO": "ab", "THREE": "xyz", "FOUR": "k4y!"})
	for text, want := range map[string]string{
		"ab": "ab", "wxyz": "w[redacted:THREE]", "eHl6": "eHl6", "azR5IQ==": "[redacted:FOUR]", "6b347921": "[redacted:FOUR]",
	} {
		if got := s.Text(text); got != want {
			t.Errorf("%q is masked as %q, want %q", text, got, want)
		}
	}
	if redact.New(map[string]string{"TWO": "ab", "NONE": ""}) != nil || redact.New(nil) != nil {
		t.Error("values that are not masked cost something")
	}
}

func TestWhatOverlapsHasOneMask(t *testing.T) {
	s := redact.New(map[string]string{"A": "abcdef", "B": "defghi", "C": "cde", "D": "ghi jkl"})
	for text, want := range map[string]string{
		"xabcdefghi.": "x[redacted:A].", "xcde.": "x[redacted:C].", "abcdefghi jklm": "[redacted:A]m", "defghi j": "[redacted:B] j",
	} {
		if got := s.Text(text); got != want {
			t.Errorf("%q is masked as %q, want %q", text, got, want)
		}
	}
}

func TestAMaskDoesNotGiveAValueAway(t *testing.T) {
	for value, want := range map[string]string{"TOKEN": "***", "redacted": "***", "value": "[redacted:TOKEN]"} {
		if got := redact.New(map[string]string{"TOKEN": value}).Text(value); got != want {
			t.Errorf("%q is masked as %q, want %q", value, got, want)
		}
	}
	if got := redact.New(map[string]string{"TOKEN": "TOKEN", "STARS": "***"}).Text("<TOKEN>"); got != "<>" {
		t.Errorf("masked as %q, want nothing", got)
	}
}

func TestJSONStaysJSONHoweverASecretIsEscaped(t *testing.T) {
	s := redact.New(map[string]string{"T": plain, "PIN": "1234567", "WORD": "true"})
	for text, want := range map[string]string{
		`{"a" : ["` + plain + `", 1] }`:              `{"a" : ["[redacted:T]", 1] }`,
		`{"\u00733cr3t\u002dv4lue": "\n\\\"\u0041"}`: `{"[redacted:T]": "\n\\\"\u0041"}`,
		`{"pin":1234567,"b":true,"c":null}`:          `{"pin":"[redacted:PIN]","b":"[redacted:WORD]","c":null}`,
		`[]`:                                         `[]`,
		plain + `{`:                                  `[redacted:T]{`,
	} {
		if got := string(s.JSON([]byte(text))); got != want {
			t.Errorf("%s is masked as %s, want %s", text, got, want)
		}
	}
}

func TestNoSecretsCostNothing(t *testing.T) {
	var none *redact.Secrets
	piece := []byte("as it is")
	if got := none.Stream().Feed(piece); &got[0] != &piece[0] || none.Stream().End() != nil {
		t.Error("a stream without secrets is copied")
	}
	if none.Text("text") != "text" || !bytes.Equal(none.JSON(piece), piece) {
		t.Error("a text without secrets is changed")
	}
}

func TestOnlyWhatMayBeginASecretIsHeldBack(t *testing.T) {
	s := redact.New(map[string]string{"T": "secret-of-mine"}).Stream()
	for _, step := range []struct{ piece, out string }{
		{"a line\n", "a line\n"},
		{"magic", "magi"}, // as base64 of the secret begins with c
		{"\n", "c\n"},
		{"secret-", ""},
		{"less\nsec", "secret-less\n"},
		{"ret-of-mine", "[redacted:T]"},
		{"secret", ""},
	} {
		if got := string(s.Feed([]byte(step.piece))); got != step.out {
			t.Errorf("after %q came %q, want %q", step.piece, got, step.out)
		}
	}
	if got := string(s.End()); got != "secret" {
		t.Errorf("at the end came %q, want what was held back", got)
	}
}
