package contract

import "time"

// Code is the stable name of an error, as the REST API and the services'
// replies carry it.
type Code string

// The codes.
const (
	CodeInvalidRequest      Code = "INVALID_REQUEST"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeKeyRevoked          Code = "KEY_REVOKED"
	CodeKeyExpired          Code = "KEY_EXPIRED"
	CodeIPNotAllowed        Code = "IP_NOT_ALLOWED"
	CodeScopeMissing        Code = "SCOPE_MISSING"
	CodeProjectNotAllowed   Code = "PROJECT_NOT_ALLOWED"
	CodeNotFound            Code = "NOT_FOUND"
	CodeConflict            Code = "CONFLICT"
	CodeIdempotencyMismatch Code = "IDEMPOTENCY_MISMATCH"
	CodeTargetNotAllowed    Code = "TARGET_NOT_ALLOWED"
	CodeCursorExpired       Code = "CURSOR_EXPIRED"
	CodePayloadTooLarge     Code = "PAYLOAD_TOO_LARGE"
	CodeRateLimited         Code = "RATE_LIMITED"
	CodeBudgetExceeded      Code = "BUDGET_EXCEEDED"
	CodeUnavailable         Code = "UNAVAILABLE"
	CodeInternal            Code = "INTERNAL"
)

// Error is an error that its cause can mend, with words for them.
type Error struct {
	Code   Code         `json:"code"`
	Detail string       `json:"detail"`
	Fields []FieldError `json:"errors,omitempty"`
	// RetryAfter is when the same request may fare better, as far as is known: over
	// HTTP alone, as Retry-After in whole seconds.
	RetryAfter time.Duration `json:"-"`
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string `json:"field"`          // path as the client wrote it, such as "components[0].port"
	Message string `json:"message"`        // continues a sentence that begins with the field
	Line    int    `json:"line,omitempty"` // of the text that the field is in, from 1; 0 where there is none
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Detail }
