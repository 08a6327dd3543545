// Package domain holds the rules of webhooks that need nothing but the language:
// which events an endpoint wants, where it may be, and when it is tried again.
package domain

import (
	"regexp"
	"slices"
	"strings"
)

// FilterRule says in words what [ValidFilter] checks.
const FilterRule = "must be an event type as operation.completed, all of an entity as operation.*, or *"

var (
	filterPattern = regexp.MustCompile(`^(\*|(operation|project|webhook)\.(\*|[a-z][a-z_]{0,39}))$`)
	slugPattern   = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

// ValidFilter tells whether a filter of event types can match any.
func ValidFilter(filter string) bool { return filterPattern.MatchString(filter) }

// ValidSlug tells whether a project can be called so.
func ValidSlug(slug string) bool { return slugPattern.MatchString(slug) }

// Filter says which events an endpoint is sent.
type Filter struct {
	events   []string
	projects map[string]bool
}

// NewFilter is of types of events, entity.*, or *, and of slugs: without any of all
// events, also those of no project.
func NewFilter(events, projects []string) Filter {
	f := Filter{events: events, projects: make(map[string]bool, len(projects))}
	for _, slug := range projects {
		f.projects[slug] = true
	}
	return f
}

// keys are what nobody is sent events of, whatever is wanted: they hold hashes.
const keys = "key"

// Matches tells whether an event of a type, as operation.completed, is wanted. Most of
// the log is of projects that an endpoint does not want, so that comes first.
func (f Filter) Matches(eventType, project string) bool {
	if len(f.projects) > 0 && !f.projects[project] {
		return false
	}
	entity, _, _ := strings.Cut(eventType, ".")
	return entity != keys && slices.ContainsFunc(f.events, func(wanted string) bool {
		return wanted == "*" || wanted == eventType || wanted == entity+".*"
	})
}
