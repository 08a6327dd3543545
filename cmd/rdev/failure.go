package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// Exit codes beside that of a command that was followed.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // as of a shell's command that Ctrl-C ended
)

// exitError ends the program with a code, silently where it wraps no error.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usageError is a mistake in the command line.
type usageError struct {
	command string // whose help tells more
	text    string
}

func (e *usageError) Error() string { return e.text }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), text: fmt.Sprintf(format, args...)}
}

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// report tells an error and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := exitFailure
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err == nil {
			return exit.code
		}
		code = exit.code
	}
	fmt.Fprintf(w, "rdev: %s\n", render.Lines(err.Error()))
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(w, "Try '%s --help'.\n", usage.command)
		return exitUsage
	}
	if problem, ok := errors.AsType[*client.Problem](err); ok {
		tellFields(w, problem, fileOf(err))
	}
	if hint := hint(err); hint != "" {
		fmt.Fprintf(w, "%s\n", hint)
	}
	return code
}

// tellFields tells what is wrong with which field, a line each: of a field in a file as a
// compiler does. What the error says itself is not said again.
func tellFields(w io.Writer, problem *client.Problem, file string) {
	for _, field := range problem.Fields {
		if file == "" && strings.Contains(problem.Detail, field.Field+" "+field.Message) {
			continue
		}
		name, message := render.Line(field.Field), render.Line(field.Message)
		if file == "" || field.Line == 0 {
			fmt.Fprintf(w, "  %s: %s\n", name, message)
			continue
		}
		fmt.Fprintf(w, "%s:%d: %s\n", render.Line(file), field.Line, strings.TrimSpace(name+" "+message))
	}
}

// hint is what to do about an error, "" where nobody knows.
func hint(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return "Is it running? `rdev up` starts one here; RDEV_API_URL or --url names another."
	}
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok {
		return ""
	}
	switch problem.Code {
	case "UNAUTHORIZED", "KEY_REVOKED", "KEY_EXPIRED":
		return "Check RDEV_API_KEY or --key."
	case "SCOPE_MISSING", "PROJECT_NOT_ALLOWED", "IP_NOT_ALLOWED":
		return "This API key may not do that; use one with more rights."
	case "CURSOR_EXPIRED":
		return "That part is not kept any more; leave --from-seq out to begin with the oldest that is."
	case string(contract.CodeBudgetExceeded):
		hint := "See what is used: rdev projects budget SLUG, rdev keys budget self."
		if problem.RetryAfter > 0 {
			hint += " The next day begins in " + render.Age(time.Now().Add(problem.RetryAfter), time.Now()) + "."
		}
		return hint
	case "IDEMPOTENCY_MISMATCH":
		return "The idempotency key belongs to another request; use a new one."
	}
	return ""
}
