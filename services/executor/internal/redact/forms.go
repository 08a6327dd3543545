package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf16"
)

const (
	// minRaw is the shortest value that is masked at all, in bytes: of shorter ones
	// every output is full, and nobody could call them secrets.
	minRaw = 3
	// minEncoded is the shortest value that is masked in encoded forms: those of
	// shorter ones are too short themselves to be anything but chance.
	minEncoded = 4
	// minLine is the shortest line of a longer value that is masked by itself.
	minLine = 8
)

// forms calls exact with every form of a value that is looked for byte for byte,
// and wrapped with those that programs break into lines.
func forms(value string, exact, wrapped func(string)) {
	for _, part := range parts(value) {
		if len(part) < minRaw {
			continue
		}
		exact(part)
		if len(part) < minEncoded {
			continue
		}
		jsonForms(part, exact)
		urlForms(part, exact)
		base64Forms(part, base64.StdEncoding, wrapped)
		base64Forms(part, base64.URLEncoding, wrapped)
		wrapped(hex.EncodeToString([]byte(part)))
		wrapped(strings.ToUpper(hex.EncodeToString([]byte(part))))
	}
}

// parts are a value, what shells make of it, which drop line ends, and its lines,
// as many programs print them with other line ends or indented. The first and the
// last line of PEM are no secret.
func parts(value string) []string {
	all := []string{value, strings.TrimSpace(value)}
	for line := range strings.Lines(all[1]) {
		if line = strings.TrimSpace(line); len(line) >= minLine && !strings.HasPrefix(line, "-----") {
			all = append(all, line)
		}
	}
	return all
}

// jsonForms are those of a value within a JSON string, and within one in another:
// with and without the bytes of HTML, slashes and what is not ASCII escaped.
func jsonForms(value string, add func(string)) {
	var once []string
	for _, html := range []bool{false, true} {
		escaped := jsonEscape(value, html)
		ascii := asciiEscape(escaped)
		once = append(once, escaped, ascii, slashEscape(escaped), slashEscape(ascii))
	}
	for _, form := range once {
		if form != value {
			add(form)
			add(jsonEscape(form, false))
		}
	}
}

// jsonEscape is a text within the quotes of a JSON string.
func jsonEscape(text string, html bool) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(html)
	_ = encoder.Encode(text) // no string fails
	return strings.TrimSuffix(out.String()[1:], "\"\n")
}

func slashEscape(text string) string { return strings.ReplaceAll(text, "/", `\/`) }

func asciiEscape(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r < 0x80 {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// urlForms are those of a value in a URL: as a form has it, in a path, and as
// JavaScript's encodeURIComponent writes it, with digits in upper and lower case.
func urlForms(value string, add func(string)) {
	query := url.QueryEscape(value)
	component := strings.NewReplacer("+", "%20", "%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(query)
	for _, form := range []string{query, component, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(value)} {
		if form != value {
			add(form)
			add(lowerPercent(form))
		}
	}
}

func lowerPercent(escaped string) string {
	out := []byte(escaped)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:], bytes.ToLower(out[i+1:i+3]))
		}
	}
	return string(out)
}

// base64Forms are what base64 makes of a value in the midst of other bytes, in
// each of the three ways in which it can lie, and at their end, with padding and
// without. A character that is half the value's and half a neighbor's is left,
// with at most four bits of the value.
func base64Forms(value string, encoding *base64.Encoding, add func(string)) {
	for before := range 3 {
		padded := encoding.EncodeToString(append(make([]byte, before), value...))
		from, to := (before*8+5)/6, (before+len(value))*8/6
		add(padded[from:to])
		add(strings.TrimRight(padded, "=")[from:])
		add(padded[from:])
	}
}
