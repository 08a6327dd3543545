package agents

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// Limits of the parts of an event, in bytes of their JSON. Together they keep
// an event below contract.MaxChunk whatever an agent prints.
const (
	maxWord    = 512
	maxMessage = 4 << 10
	maxText    = 32 << 10
	maxInput   = 12 << 10
	maxValue   = 1 << 10 // of one field of an input that is too large
	maxDenied  = 20
)

// fit cuts the strings of an event to their limits. Text is cut before, into
// several events.
func fit(e *contract.AgentEvent) {
	for _, word := range []*string{
		&e.Session, &e.MessageID, &e.ParentToolCall, &e.Model, &e.Cwd, &e.Version,
		&e.PermissionMode, &e.ToolCall, &e.Tool, &e.Title, &e.Code, &e.StopReason,
	} {
		*word = cut(*word, maxWord)
	}
	e.Message = cut(e.Message, maxMessage)
	if e.Failure != nil {
		e.Failure.Message = cut(e.Failure.Message, maxMessage)
	}
	if output := cut(e.Output, contract.MaxToolOutput); len(output) < len(e.Output) {
		e.Output, e.OutputBytes = output, len(e.Output)
	}
	e.Line = cut(e.Line, contract.MaxRawLine)
	e.Input = fitInput(e.Input)
}

// fitInput keeps a tool's input within its limit: first by cutting its long
// fields, and where that is not enough by telling only its size.
func fitInput(input json.RawMessage) json.RawMessage {
	var compact bytes.Buffer
	if json.Compact(&compact, input) != nil {
		return nil // as good as none: an empty input, or a field that was absent
	}
	// An encoder may write the bytes of HTML as six.
	if encodedLen(compact.String()) <= maxInput {
		return compact.Bytes()
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(input, &fields) == nil {
		for name, value := range fields {
			if encodedLen(string(value)) > maxValue {
				fields[name] = quote(cut(asText(value), maxValue) + "…")
			}
		}
		if fitted, err := json.Marshal(fields); err == nil && len(fitted) <= maxInput {
			return fitted
		}
	}
	return json.RawMessage(`"` + tooLarge + `"`)
}

const tooLarge = "too large to keep"

// asText is a JSON string's text, and other JSON as it is.
func asText(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

func quote(text string) json.RawMessage {
	quoted, err := json.Marshal(text)
	if err != nil { // no string fails
		return json.RawMessage(`""`)
	}
	return quoted
}

// cut is the longest start of s whose JSON takes at most limit bytes.
func cut(s string, limit int) string {
	if len(s)*6 <= limit {
		return s
	}
	size := 0
	for i, r := range s {
		if size += encodedRune(s[i:], r); size > limit {
			return s[:i]
		}
	}
	return s
}

func encodedLen(s string) int {
	size := 0
	for i, r := range s {
		size += encodedRune(s[i:], r)
	}
	return size
}

// encodedRune is how many bytes of JSON the first rune of s takes at most.
func encodedRune(s string, r rune) int {
	switch {
	case r == '"' || r == '\\' || r == '\n' || r == '\r' || r == '\t':
		return 2
	case r < ' ' || strings.ContainsRune("<>&\u007f\u2028\u2029", r):
		return 6
	case r == utf8.RuneError && !strings.HasPrefix(s, "\ufffd"):
		return 6
	default:
		return utf8.RuneLen(r)
	}
}
