// Package redact takes the secrets of a run out of what it prints. It knows no
// other than those values: a program that hides one on purpose, as by turning it
// round, can do so. Everything in it is pure: the same values and bytes make the
// same bytes.
package redact

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// Secrets are the values of a run, ready to be looked for. They never change; nil
// stands for none, costs nothing and leaves everything as it is.
//
// Masked are a value as it is, in JSON strings, in URLs, in hexadecimal and in
// base64 of both alphabets wherever it lies in what was encoded, these two also
// where they are broken into lines; and in the same forms the value without white
// space around it and each of its lines of 8 bytes or more. Values of less than 4
// bytes are masked only as they are, those of less than 3 not at all.
//
// They take about 24 bytes of memory for each byte of each form that is unlike
// the others: some 15 to 30 forms, so that 64 KiB of PEM take some 40 MB.
type Secrets struct {
	exact   *automaton
	wrapped *automaton // does not see line ends
	masks   [][]byte   // by number of the secret
	idle    [256]bool  // bytes with which nothing begins
}

// New prepares the values by name. It returns nil where there is none to mask.
func New(values map[string]string) *Secrets {
	s := &Secrets{exact: newAutomaton(), wrapped: newAutomaton()}
	names := slices.Sorted(maps.Keys(values))
	for i, name := range names {
		forms(values[name],
			func(form string) { s.exact.add(form, i) },
			func(form string) { s.wrapped.add(form, i) })
	}
	if len(s.exact.nodes) == 1 {
		return nil
	}
	s.exact.finish()
	s.wrapped.finish()
	for b := range s.idle {
		s.idle[b] = s.exact.first[b] == 0 && s.wrapped.first[b] == 0
	}
	s.masks = make([][]byte, len(names))
	for i, name := range names {
		s.masks[i] = s.maskOf(name)
	}
	return s
}

// maskOf is what stands for the value of a name: [redacted:NAME]. A value may be
// a piece of just that; then there is another, or at last nothing.
func (s *Secrets) maskOf(name string) []byte {
	for _, mask := range []string{"[redacted:" + name + "]", "***"} {
		found := s.Stream()
		_, _ = found.Feed([]byte(mask)), found.End()
		if !found.Masked() {
			return []byte(mask)
		}
	}
	return nil
}

// Stream masks one stream of output. It is for one goroutine.
func (s *Secrets) Stream() *Stream {
	if s == nil {
		return nil
	}
	return &Stream{secrets: s}
}

// Text masks a whole text.
func (s *Secrets) Text(text string) string {
	if s == nil || text == "" {
		return text
	}
	stream := s.Stream()
	out := bytes.Clone(stream.Feed([]byte(text)))
	out = append(out, stream.End()...)
	if !stream.Masked() {
		return text
	}
	return string(out)
}

// JSON masks the values and keys of a JSON text, which stays one, in whatever way
// they are escaped. A number, true, false or null with a secret in it becomes a
// string. What is no JSON is masked as a text.
func (s *Secrets) JSON(text []byte) []byte {
	if s == nil || len(text) == 0 {
		return text
	}
	if !json.Valid(text) {
		return []byte(s.Text(string(text)))
	}
	var out []byte
	for rest := text; len(rest) > 0; {
		n := token(rest)
		out = append(out, s.token(rest[:n])...)
		rest = rest[n:]
	}
	return out
}

// token masks a token of JSON.
func (s *Secrets) token(token []byte) []byte {
	plain := string(token)
	if token[0] == '"' && json.Unmarshal(token, &plain) != nil {
		return token // no string of valid JSON
	}
	masked := s.Text(plain)
	if masked == plain {
		return token
	}
	return []byte(`"` + jsonEscape(masked, true) + `"`)
}

// token is the length of the first token of valid JSON: a string, a run of what
// is between values, or another value.
func token(text []byte) int {
	const between = "{}[],: \t\r\n"
	inBetween := func(b byte) bool { return bytes.IndexByte([]byte(between), b) >= 0 }
	n := 1
	switch {
	case text[0] == '"':
		for text[n] != '"' {
			if text[n] == '\\' {
				n++
			}
			n++
		}
		return n + 1
	case inBetween(text[0]):
		return n
	}
	for n < len(text) && text[n] != '"' && !inBetween(text[n]) {
		n++
	}
	return n
}
