// Package render writes what the command line says to people: tables, ages,
// events of agents. What comes from elsewhere is cleaned of control characters
// first, so that nobody's text can play with the reader's terminal.
package render

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/orchard9/rdev/libs/contract"
)

// Style colors text where Color is set.
type Style struct{ Color bool }

// The codes all have the same length, so that a colored column stays aligned.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	gray   = "\x1b[90m"
	plain  = "\x1b[39m"
)

func (s Style) paint(code, text string) string {
	if !s.Color || text == "" {
		return text
	}
	return code + text + plain
}

// Good is text about what went well.
func (s Style) Good(text string) string { return s.paint(green, text) }

// Bad is text about what went wrong.
func (s Style) Bad(text string) string { return s.paint(red, text) }

// Warn is text about what to look at.
func (s Style) Warn(text string) string { return s.paint(yellow, text) }

// Dim is text that matters less.
func (s Style) Dim(text string) string { return s.paint(gray, text) }

// Mark is text that stands out.
func (s Style) Mark(text string) string { return s.paint(cyan, text) }

// Plain is text of no color that aligns with colored text in a table.
func (s Style) Plain(text string) string { return s.paint(plain, text) }

// State colors the state of an operation.
func (s Style) State(state contract.State) string {
	text := Line(string(state))
	switch state {
	case contract.Completed:
		return s.Good(text)
	case contract.Failed:
		return s.Bad(text)
	case contract.Cancelled:
		return s.Dim(text)
	case contract.Running:
		return s.Mark(text)
	case contract.Pending:
		return s.Warn(text)
	}
	return s.Plain(text)
}

// Table writes rows below a header, in columns.
func Table(w io.Writer, header []string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		if _, err := fmt.Fprintln(table, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return table.Flush()
}

// Age is how long ago something was, in its largest unit: 12s, 5m, 3h, 9d.
func Age(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	age := max(now.Sub(then), 0)
	switch {
	case age < time.Minute:
		return fmt.Sprintf("%ds", int(age.Seconds()))
	case age < time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", int(age.Hours()))
	}
	return fmt.Sprintf("%dd", int(age.Hours()/24))
}

// Took is how long an operation has run: "-" before it starts.
func Took(now time.Time, op contract.Operation) string {
	if op.StartedAt == nil {
		return "-"
	}
	if op.FinishedAt != nil {
		now = *op.FinishedAt
	}
	took := max(now.Sub(*op.StartedAt), 0)
	if took < time.Second {
		return took.Round(time.Millisecond).String()
	}
	if took < time.Minute {
		return took.Round(100 * time.Millisecond).String()
	}
	return took.Round(time.Second).String()
}

// Exit is an operation's exit code, "-" where there is none.
func Exit(op contract.Operation) string {
	if op.ExitCode == nil {
		return "-"
	}
	return strconv.Itoa(*op.ExitCode)
}

// Line is text on one line, without control characters.
func Line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || hidden(r)
	}), " ")
}

// Lines is text without control characters but the ends of lines and tabs.
func Lines(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && hidden(r) {
			return -1
		}
		return r
	}, text)
}

// hidden tells what a terminal would act upon: controls, and marks that turn
// the direction of writing.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// Cut shortens text to so many runes.
func Cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// Ago is when something was, or will be, from now: 5m ago, in 9d, or never.
func Ago(now time.Time, then *time.Time) string {
	switch {
	case then == nil || then.IsZero():
		return "never"
	case then.After(now):
		return "in " + Age(*then, now)
	}
	return Age(now, *then) + " ago"
}
