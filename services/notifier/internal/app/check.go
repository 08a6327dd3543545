package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Limits of what an endpoint may ask for.
const (
	maxFilters     = 50
	maxProjects    = 200
	maxDescription = 500
	maxName        = 64
	maxHeaders     = 20
	maxHeaderBytes = 4 << 10
	maxRate        = 1000
)

// check returns all that is wrong with an endpoint.
func (a *App) check(w contract.Webhook) error {
	var fields []contract.FieldError
	wrong := func(field, format string, args ...any) {
		fields = append(fields, contract.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	forbidden := a.Targets.CheckURL(w.URL)
	if forbidden != nil && !errors.Is(forbidden, domain.ErrTargetNotAllowed) {
		wrong("url", "%v", forbidden)
		forbidden = nil
	}
	if len(w.Name) > maxName || !printable(w.Name) || strings.TrimSpace(w.Name) != w.Name {
		wrong("name", "must have at most %d bytes, all printable, and no space around it", maxName)
	}
	if n := len(w.Events); n == 0 || n > maxFilters {
		wrong("events", "must have 1 to %d entries", maxFilters)
	}
	for i, filter := range w.Events {
		if !domain.ValidFilter(filter) {
			wrong(fmt.Sprintf("events[%d]", i), "%s", domain.FilterRule)
		}
	}
	if len(w.Projects) > maxProjects {
		wrong("projects", "must have at most %d entries", maxProjects)
	}
	for i, slug := range w.Projects {
		if !domain.ValidSlug(slug) {
			wrong(fmt.Sprintf("projects[%d]", i), "must be the slug of a project")
		}
	}
	if len(w.Description) > maxDescription {
		wrong("description", "must have at most %d bytes", maxDescription)
	}
	if w.Rate < 0 || w.Rate > maxRate {
		wrong("rate", "must be 0 to %d requests in a second", maxRate)
	}
	for _, problem := range checkHeaders(w.Headers) {
		wrong("headers", "%s", problem)
	}
	switch {
	case len(fields) > 0:
		return &contract.Error{Code: contract.CodeInvalidRequest, Detail: fields[0].Field + " " + fields[0].Message, Fields: fields}
	case forbidden != nil:
		return &contract.Error{
			Code: contract.CodeTargetNotAllowed, Detail: "url: " + forbidden.Error(),
			Fields: []contract.FieldError{{Field: "url", Message: forbidden.Error()}},
		}
	}
	return nil
}

// checkHeaders returns what is wrong with custom headers. Those that rdev or HTTP
// itself sets are not anybody's to choose.
func checkHeaders(headers map[string]string) (problems []string) {
	if len(headers) > maxHeaders {
		return []string{fmt.Sprintf("must be at most %d", maxHeaders)}
	}
	size := 0
	for name, value := range headers {
		size += len(name) + len(value)
		switch {
		case !isToken(name):
			problems = append(problems, fmt.Sprintf("has %q, which is no name of a header", name))
		case !printable(strings.ReplaceAll(value, "\t", " ")):
			problems = append(problems, fmt.Sprintf("has a value for %s that no header can have", name))
		case domain.ReservedHeader(name):
			problems = append(problems, fmt.Sprintf("has %s, which is set by rdev", name))
		}
	}
	if size > maxHeaderBytes {
		problems = append(problems, fmt.Sprintf("must have at most %d bytes together", maxHeaderBytes))
	}
	slices.Sort(problems)
	return problems
}

// isToken tells whether a text may be the name of a header.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd })
}

// distinct sorts words and leaves out those that come twice; never nil.
func distinct(words []string) []string {
	sorted := append([]string{}, words...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
