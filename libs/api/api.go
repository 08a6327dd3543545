// Package api is how rdev reads requests and writes responses over HTTP: JSON,
// and problems (RFC 9457) with a stable code.
package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

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
		w.Header().Set("Retry-After", strconv.FormatInt(Seconds(max(e.RetryAfter, time.Second)), 10))
	}
	WriteProblem(w, status, e.Code, e.Detail, e.Fields...)
}

// Seconds are the whole seconds in which a time is over.
func Seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func statusOf(code contract.Code) int {
	switch code {
	case contract.CodeInvalidRequest, contract.CodeTargetNotAllowed:
		return http.StatusBadRequest
	case contract.CodeUnauthorized, contract.CodeKeyRevoked, contract.CodeKeyExpired:
		return http.StatusUnauthorized
	case contract.CodeIPNotAllowed, contract.CodeScopeMissing, contract.CodeProjectNotAllowed:
		return http.StatusForbidden
	case contract.CodeNotFound:
		return http.StatusNotFound
	case contract.CodeConflict, contract.CodeIdempotencyMismatch:
		return http.StatusConflict
	case contract.CodeCursorExpired:
		return http.StatusGone
	case contract.CodePayloadTooLarge:
		return http.StatusRequestEntityTooLarge
	case contract.CodeRateLimited, contract.CodeBudgetExceeded:
		return http.StatusTooManyRequests
	case contract.CodeUnavailable:
		return http.StatusServiceUnavailable
	case contract.CodeInternal:
	}
	return http.StatusInternalServerError
}
