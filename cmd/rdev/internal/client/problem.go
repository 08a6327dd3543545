package client

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Problem is the gateway's refusal of a request, an RFC 9457 problem.
type Problem struct {
	Status int          `json:"status"`
	Code   string       `json:"code"` // NOT_FOUND, SCOPE_MISSING, …; empty where the answer was no problem document
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Fields []FieldError `json:"errors"`

	// RetryAfter is how long the gateway asks to wait, 0 where it does not say.
	RetryAfter time.Duration `json:"-"`
}

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"` // of the text that the field is in, from 1; 0 where there is none
}

// Error is the detail and the code on one line, without the fields.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if text == "" {
		text = strings.ToLower(http.StatusText(p.Status))
	}
	if p.Code == "" {
		return fmt.Sprintf("%s (HTTP %d)", text, p.Status)
	}
	return fmt.Sprintf("%s (%s)", text, p.Code)
}

// UnreachableError is returned where a request got no answer.
type UnreachableError struct {
	URL string
	Err error
}

// Error names the address and the cause.
func (e *UnreachableError) Error() string { return fmt.Sprintf("no answer from %s: %v", e.URL, e.Err) }

// Unwrap is the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// parseProblem reads an answer that is no success. What is no problem document,
// such as a proxy's page, becomes a problem without a code.
func parseProblem(status int, header http.Header, body []byte) *Problem {
	problem := &Problem{}
	if err := json.Unmarshal(body, problem); err != nil {
		problem = &Problem{}
	}
	problem.Status = status
	if seconds, err := strconv.Atoi(header.Get("Retry-After")); err == nil && seconds > 0 {
		problem.RetryAfter = time.Duration(seconds) * time.Second
	}
	return problem
}
