package buildspec

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// Bounds of what is told.
const (
	maxFindings    = 50
	maxFinding     = 400 // bytes of a path, of a message, and of a word in it
	maxSuggestions = 100 // that are looked for: it takes its time
)

// findings are what is wrong with a specification, and where each of its fields is.
type findings struct {
	wrong []contract.FieldError
	seen  map[string]bool // paths of which something is wrong
	lines map[string]int  // by path
	// suggested is how often a known name was looked for that is near one that is not.
	suggested int
}

// wrongAt notes what is wrong with a field. The first thing counts: the next one may be
// its consequence.
func (f *findings) wrongAt(path, format string, args ...any) {
	if f.seen[path] {
		return
	}
	f.seen[path] = true
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = clip(text)
		}
	}
	message := fmt.Sprintf(format, args...)
	if path == "" {
		message = "the text " + message
	}
	f.wrong = append(f.wrong, contract.FieldError{Field: clip(path), Message: clip(message), Line: f.line(path)})
}

// line is where a field is, or the nearest one around it that was written.
func (f *findings) line(path string) int {
	for {
		if line, ok := f.lines[path]; ok {
			return line
		}
		end := strings.LastIndexAny(path, ".[")
		if end < 0 {
			return 0
		}
		path = path[:end]
	}
}

// written tells whether a field is in the text, whatever it holds.
func (f *findings) written(path string) bool {
	_, ok := f.lines[path]
	return ok
}

// err is all that was found, by lines, or nil.
func (f *findings) err() error {
	if len(f.wrong) == 0 {
		return nil
	}
	slices.SortStableFunc(f.wrong, func(a, b contract.FieldError) int { return a.Line - b.Line })
	detail := "the build has 1 error"
	if n := len(f.wrong); n > 1 {
		detail = fmt.Sprintf("the build has %d errors", n)
	}
	if len(f.wrong) > maxFindings {
		f.wrong = f.wrong[:maxFindings]
		detail += fmt.Sprintf(", of which these are the first %d", maxFindings)
	}
	return &contract.Error{Code: contract.CodeInvalidRequest, Detail: detail, Fields: f.wrong}
}

// clip cuts what is too long to be read.
func clip(text string) string {
	if len(text) <= maxFinding {
		return text
	}
	end := maxFinding
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// didYouMean is didYouMean until that was asked often.
func (f *findings) didYouMean(name string, known []string) string {
	if f.suggested++; f.suggested > maxSuggestions {
		return ""
	}
	return didYouMean(name, known)
}

// didYouMean ends a message about a name that is not known, where a known one is near.
func didYouMean(name string, known []string) string {
	other := map[string]string{ // of other forms that are alike, ours among them
		"argv": "run", "script": "run", "command": "run", "commands": "run", "credentials": "secrets", "max_attempts": "attempts",
		"environment": "env", "depends_on": "needs", "when": "if", "parameters": "params",
	}
	if meant, ok := other[name]; ok && slices.Contains(known, meant) {
		return fmt.Sprintf("; did you mean %q?", meant)
	}
	best, least := "", 1+min(len(name)/2, 3)
	for _, candidate := range known {
		if d := distance(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters have to be changed, added or left out, or changed with
// their neighbour, to make one word of the other. What is too long is far from all.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}
