// Package api is how rdev reads requests and writes responses over HTTP: JSON,
// and problems (RFC 9457) with a stable code.
package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// Deadlines of handlers.
const (
	TimeoutFastLookup    = 5 * time.Second
	TimeoutLookup        = 10 * time.Second
	TimeoutStandard      = 30 * time.Second
	TimeoutHeavyWrite    = 60 * time.Second
	TimeoutOrchestration = 90 * time.Second
	TimeoutLongRunning   = 10 * time.Minute
)

// MaxBody is the most that a request's body may have, in bytes.
const MaxBody = 1 << 20

// Write answers with a value as JSON.
func Write(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		status = http.StatusInternalServerError
		body = []byte(`{"title":"Internal Server Error","status":500,"code":"INTERNAL","detail":"the answer could not be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client has gone
}

// Problem is the body of an error, of media type application/problem+json.
type Problem struct {
	Type   string                `json:"type"`
	Title  string                `json:"title"`
	Status int                   `json:"status"`
	Code   contract.Code         `json:"code"`
	Detail string                `json:"detail"`
	Errors []contract.FieldError `json:"errors,omitempty"`
}

// WriteProblem answers with an error that says what to do.
func WriteProblem(w http.ResponseWriter, status int, code contract.Code, detail string, fields ...contract.FieldError) {
	body, _ := json.Marshal(Problem{ // strings only
		Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Errors: fields,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client has gone
}

// WriteError answers with a *contract.Error.
func WriteError(w http.ResponseWriter, e *contract.Error) {
	status := statusOf(e.Code)
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	WriteProblem(w, status, e.Code, e.Detail, e.Fields...)
}

func statusOf(code contract.Code) int {
	switch code {
	case contract.CodeInvalidRequest, contract.CodeTargetNotAllowed:
		return http.StatusBadRequest
	case contract.CodeUnauthorized:
		return http.StatusUnauthorized
	case contract.CodeNotFound:
		return http.StatusNotFound
	case contract.CodeConflict, contract.CodeIdempotencyMismatch:
		return http.StatusConflict
	case contract.CodeCursorExpired:
		return http.StatusGone
	case contract.CodePayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case contract.CodeRateLimited:
		return http.StatusTooManyRequests
	case contract.CodeUnavailable:
		return http.StatusServiceUnavailable
	case contract.CodeInternal:
	}
	return http.StatusInternalServerError
}

// DecodeJSON reads the body of a request into a T. Whatever is wrong with it is
// a *contract.Error: too large, no JSON, an unknown field, a wrong type, a second
// value, bytes that are no UTF-8.
func DecodeJSON[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var value T
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return value, &contract.Error{Code: contract.CodePayloadTooLarge, Detail: fmt.Sprintf("the body has more than %d bytes", MaxBody)}
		}
		return value, invalid("", "the body could not be read: "+err.Error())
	}
	return value, Decode(body, &value)
}

// Decode is DecodeJSON for a body that is read already.
func Decode(body []byte, value any) error {
	if !utf8.Valid(body) {
		return invalid("", "the body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		return describe(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("", "the body has more than one JSON value")
	}
	return nil
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
		return invalid(wrongType.Field, fmt.Sprintf("is a JSON %s; want %s", wrongType.Value, wrongType.Type))
	case isUnknown:
		return invalid(strings.Trim(unknown, `"`), "is not a field that is known here")
	}
	return invalid("", strings.TrimPrefix(err.Error(), "json: "))
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
