package postgres

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/orchard9/rdev/services/audit/internal/app"
)

const (
	// maxText bounds the columns beside the body, in bytes: an index takes no
	// more than 2,700.
	maxText = 512
	// maxDepth is how deep JSON may be nested, well below what makes PostgreSQL
	// run out of stack.
	maxDepth = 500
)

// text is s as PostgreSQL takes it: anybody who may write to the log may write
// anything into a subject or a header, and none of it may stop the projection.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// storable tells whether a column of type json takes an event's body. One that
// an operation was read out of is known to be JSON.
func storable(e app.Event) bool {
	return utf8.Valid(e.Data) && (e.Operation != nil || json.Valid(e.Data)) && !tooDeep(e.Data)
}

// tooDeep tells whether valid JSON is nested deeper than maxDepth.
func tooDeep(b []byte) bool {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) <= maxDepth {
		return false // it does not even open so often
	}
	var depth int
	quoted, escaped := false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return false
}
