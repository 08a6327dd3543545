// Package validate collects what is wrong with an input, field by field, so that
// a caller learns of all of it at once.
package validate

import (
	"fmt"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// Errors is what is wrong with an input, in the order of the checks.
type Errors struct {
	Fields []contract.FieldError `json:"errors"`
}

// Error puts everything into one line.
func (e *Errors) Error() string {
	parts := make([]string, 0, len(e.Fields))
	for _, field := range e.Fields {
		parts = append(parts, field.Field+" "+field.Message)
	}
	return "invalid input: " + strings.Join(parts, "; ")
}

// Validator collects errors. The first one of a field counts, so that checks may
// be written from the general to the special.
type Validator struct {
	fields []contract.FieldError
	failed map[string]bool
}

// New returns a validator that has found nothing yet.
func New() *Validator { return &Validator{failed: map[string]bool{}} }

// Check notes the message for the field unless ok.
func (v *Validator) Check(field string, ok bool, message string) {
	if ok || v.failed[field] {
		return
	}
	v.failed[field] = true
	v.fields = append(v.fields, contract.FieldError{Field: field, Message: message})
}

// Checkf is Check with a formatted message.
func (v *Validator) Checkf(field string, ok bool, format string, args ...any) {
	if !ok {
		v.Check(field, false, fmt.Sprintf(format, args...))
	}
}

// Err is nil if nothing was found, else an *Errors.
func (v *Validator) Err() error {
	if len(v.fields) == 0 {
		return nil
	}
	return &Errors{Fields: v.fields}
}
