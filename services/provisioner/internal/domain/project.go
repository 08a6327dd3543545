// Package domain holds the rules of projects that need nothing but the language.
package domain

import "regexp"

// SlugRule says in words what [ValidSlug] checks.
const SlugRule = "1 to 40 of a-z, 0-9 and -, with no - at either end"

// DefaultTemplate is what a project is made of where none is named.
const DefaultTemplate = "default"

var slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

// ValidSlug tells whether a project may be called so. A valid slug is safe as a
// token of a subject, the name of a directory, a label of DNS and of Kubernetes.
func ValidSlug(slug string) bool { return slugPattern.MatchString(slug) }
