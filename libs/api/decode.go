package api

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// timeoutBody is how long the body of a request may take.
const timeoutBody = 30 * time.Second

// DecodeJSON reads the body of a request into a T. Whatever is wrong with it is
// a *contract.Error: too large, no JSON, an unknown field, a field that comes
// twice, a wrong type, a second value, bytes that are no UTF-8.
func DecodeJSON[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var value T
	// A body that comes byte by byte must not hold a handler for ever, nor the server
	// that reads the rest of it after an error. What has no deadlines is a test's.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(timeoutBody))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return value, &contract.Error{Code: contract.CodePayloadTooLarge, Detail: fmt.Sprintf("the body has more than %d bytes", MaxBody)}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return value, invalid("", fmt.Sprintf("the body did not arrive within %s", timeoutBody))
		}
		return value, invalid("", "the body could not be read: "+err.Error())
	}
	_ = control.SetReadDeadline(time.Time{})
	return value, Decode(body, &value)
}

// Decode is DecodeJSON for a body that is read already.
func Decode(body []byte, value any) error {
	if !utf8.Valid(body) {
		return invalid("", "the body is not UTF-8")
	}
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] != '{' {
		return invalid("", "the body must be a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		return describe(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("", "the body has more than one JSON value")
	}
	return checkTwice(body)
}

// checkTwice refuses a name that an object has twice: which of the two counts
// differs between parsers, and with it what was checked and what is done. The
// fields of the body itself are the same in any case, as encoding/json has it.
// The body is known to be valid.
func checkTwice(body []byte) error {
	type object struct {
		names map[string]bool // nil for an array
		value bool            // the next token is a value, not a name
	}
	var open []object
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return nil //nolint:nilerr // the end: Decode has read all of it
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{names: map[string]bool{}})
			continue
		case json.Delim('['):
			open = append(open, object{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if top := &open[len(open)-1]; top.names != nil && !top.value {
				name, _ := token.(string)
				known := name
				if len(open) == 1 {
					known = strings.ToLower(name)
				}
				if top.names[known] {
					return invalid(name, "is given twice")
				}
				top.names[known], top.value = true, true
				continue
			}
		}
		if len(open) > 0 {
			open[len(open)-1].value = false
		}
	}
}

func describe(err error) error {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	unknown, isUnknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case errors.Is(err, io.EOF):
		return invalid("", "the body is empty; send a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalid("", "the JSON ends too early")
	case errors.As(err, &syntax):
		return invalid("", fmt.Sprintf("no JSON at byte %d: %s", syntax.Offset, syntax.Error()))
	case errors.As(err, &wrongType):
		return invalid(wrongType.Field, fmt.Sprintf("is a JSON %s; want %s", wrongType.Value, wanted(wrongType.Type)))
	case isUnknown:
		return invalid(strings.Trim(unknown, `"`), "is not a field that is known here")
	}
	return invalid("", strings.TrimPrefix(err.Error(), "json: "))
}

// wanted is a Go type in the words of JSON.
func wanted(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a string"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

func invalid(field, message string) error {
	if field == "" {
		return &contract.Error{Code: contract.CodeInvalidRequest, Detail: message}
	}
	return &contract.Error{
		Code: contract.CodeInvalidRequest, Detail: field + " " + message,
		Fields: []contract.FieldError{{Field: field, Message: message}},
	}
}
