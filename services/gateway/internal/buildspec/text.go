package buildspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlLine is how the YAML parser begins an error whose place it knows.
var yamlLine = regexp.MustCompile(`^line ([0-9]+): `)

// document is the one document of the text, nil where it has none that can be read.
func (f *findings) document(text []byte) *yaml.Node {
	switch {
	case len(text) > maxText:
		f.wrongAt("", "has more than %d bytes", maxText)
		return nil
	case !utf8.Valid(text):
		f.wrongAt("", "is not UTF-8")
		return nil
	case json.Valid(text):
		text = jsonAsYAML(text)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		f.wrongAt("", "is empty, and must have steps")
		return nil
	case err != nil:
		f.notYAML(err)
		return nil
	}
	switch err := d.Decode(&more); {
	case err == nil:
		f.lines[""] = more.Line
		f.wrongAt("", "has a second document, and must be one")
		return nil
	case !errors.Is(err, io.EOF):
		f.notYAML(err)
		return nil
	}
	return document.Content[0]
}

func (f *findings) notYAML(err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if at := yamlLine.FindStringSubmatch(message); at != nil {
		line, _ := strconv.Atoi(at[1]) // digits
		message = message[len(at[0]):]
		if strings.HasPrefix(message, "did not find expected") {
			line++ // its parser counts from 0, and its scanner from 1
		}
		f.lines[""] = line
	}
	f.wrongAt("", "is not YAML: %s", message)
}

// jsonAsYAML writes what a JSON text may hold and a YAML text may not, or not with the same
// meaning, in a way that is the same in both. The lines stay as they are.
func jsonAsYAML(text []byte) []byte {
	var out bytes.Buffer
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == '\\' && text[1] == 'u':
			r, size = unescape(text)
			_, _ = fmt.Fprintf(&out, `\U%08X`, r)
		case r == '\\' && text[1] == '/':
			size = 2
			out.WriteByte('/')
		case r == '\\':
			size = 2
			out.Write(text[:size])
		case r >= 0x7f && r < 0xa0, r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			_, _ = fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.Write(text[:size])
		}
		text = text[size:]
	}
	return out.Bytes()
}

// unescape is the character that a valid text of JSON begins with, written as \uXXXX or as
// two of them, and in how many bytes.
func unescape(text []byte) (r rune, size int) {
	unit := func(from int) rune {
		if len(text) < from+6 || text[from] != '\\' || text[from+1] != 'u' {
			return 0
		}
		value, _ := strconv.ParseUint(string(text[from+2:from+6]), 16, 16)
		return rune(value)
	}
	r = unit(0)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if both := utf16.DecodeRune(r, unit(6)); both != utf8.RuneError {
		return both, 12
	}
	return utf8.RuneError, 6
}
