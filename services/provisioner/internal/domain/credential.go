package domain

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	namePattern    = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,127}$`)
	patternPattern = regexp.MustCompile(`^[a-z0-9*]([a-z0-9*-]{0,38}[a-z0-9*])?$`)
)

// CheckCredentialName says why a credential may not be called so. A good name is
// one of an environment variable that changes nothing of how programs are found
// and started, nor what rdev itself tells them.
func CheckCredentialName(name string) error {
	switch {
	case !namePattern.MatchString(name):
		return errors.New("must be 1 to 128 of A-Z, 0-9 and _, and not begin with a digit")
	case name == "PATH", name == "HOME", strings.HasPrefix(name, "LD_"):
		return fmt.Errorf("must not be %s: it decides what a command runs", name)
	case strings.HasPrefix(name, "RDEV_"):
		return errors.New("must not begin with RDEV_: such variables are rdev's own")
	}
	return nil
}

// CheckCredentialValue says why a value cannot be one of at most limit bytes: an
// environment variable holds text without zero bytes.
func CheckCredentialValue(value string, limit int) error {
	switch {
	case value == "":
		return errors.New("must not be empty")
	case len(value) > limit:
		return fmt.Errorf("must have at most %d bytes", limit)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return errors.New("must be UTF-8 text without zero bytes")
	}
	return nil
}

// ProjectPatternRule says in words what [ValidProjectPattern] checks.
const ProjectPatternRule = `must be the slug of a project, or a pattern as "ci-*"`

// ValidProjectPattern tells whether a text is a slug in which * may stand for any
// text.
func ValidProjectPattern(pattern string) bool { return patternPattern.MatchString(pattern) }

// ProjectMatches tells whether a pattern stands for a project.
func ProjectMatches(pattern, slug string) bool {
	// Without the other signs of path.Match, and its slashes, * is all there is.
	if !ValidProjectPattern(pattern) || !ValidSlug(slug) {
		return false
	}
	matched, err := path.Match(pattern, slug)
	return err == nil && matched
}
