package validate

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	slugPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	envPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	idPattern   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// Required refuses the empty string and one of white space only.
func (v *Validator) Required(field, value string) {
	v.Check(field, strings.TrimSpace(value) != "", "is required")
}

// MaxLen refuses more than limit characters (code points, not bytes).
func (v *Validator) MaxLen(field, value string, limit int) {
	v.Checkf(field, utf8.RuneCountInString(value) <= limit, "must have at most %d characters", limit)
}

// NoNUL refuses what PostgreSQL and command lines cannot carry: the zero byte
// and text that is not UTF-8.
func (v *Validator) NoNUL(field, value string) {
	v.Check(field, utf8.ValidString(value) && !strings.ContainsRune(value, 0), "must be UTF-8 text without zero bytes")
}

// OneOf refuses everything that is not listed.
func (v *Validator) OneOf(field, value string, allowed ...string) {
	v.Checkf(field, slices.Contains(allowed, value), "must be one of %s", strings.Join(allowed, ", "))
}

// Slug wants 1 to 40 of a-z, 0-9 and hyphen, with a letter or digit at both ends.
func (v *Validator) Slug(field, value string) {
	v.Check(field, IsSlug(value), "must be 1 to 40 of a-z, 0-9 and hyphen, and begin and end with a letter or digit")
}

// IsSlug is the rule of Slug.
func IsSlug(value string) bool { return slugPattern.MatchString(value) }

// ID wants a UUID in lower case with hyphens.
func (v *Validator) ID(field, value string) {
	v.Check(field, IsID(value), "must be a UUID in lower case")
}

// IsID is the rule of ID.
func IsID(value string) bool { return idPattern.MatchString(value) }

// EnvName wants the name of an environment variable: up to 128 of letters,
// digits and underscore that do not begin with a digit.
func (v *Validator) EnvName(field, value string) {
	v.Check(field, envPattern.MatchString(value), "must be up to 128 letters, digits and underscores, and not begin with a digit")
}

// RelativePath wants a slash-separated path that stays below where it starts,
// whatever system reads it. It says nothing about symbolic links.
func (v *Validator) RelativePath(field, value string) {
	v.NoNUL(field, value)
	v.Check(field, isBelow(value), "must be a relative path with slashes that does not lead out of its directory")
}

// isBelow walks the path and never lets it rise above its start, not even to come back.
func isBelow(path string) bool {
	if path == "" || path[0] == '/' || strings.Contains(path, `\`) {
		return false
	}
	depth := 0
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			depth--
		default:
			depth++
		}
		if depth < 0 {
			return false
		}
	}
	return true
}

// Duration wants a value from least to most, both included.
func (v *Validator) Duration(field string, value, least, most time.Duration) {
	v.Checkf(field, value >= least && value <= most, "must be between %s and %s", least, most)
}
