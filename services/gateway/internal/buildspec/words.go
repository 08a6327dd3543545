package buildspec

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// reference is $NAME or ${NAME}, $$ for the sign itself, or a sign alone, which is wrong.
var reference = regexp.MustCompile(`\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})?`)

// expand puts values of the environment into a text that is no script, which may have a
// most of bytes, also with them.
func (p *parser) expand(at, text string, from sources, most int) string {
	var out strings.Builder
	for rest := text; len(text) <= most; {
		found := reference.FindStringIndex(rest)
		if found == nil {
			out.WriteString(rest)
			break
		}
		out.WriteString(rest[:found[0]])
		out.WriteString(p.valueOf(at, rest[found[0]:found[1]], from))
		if out.Len() > most {
			break
		}
		rest = rest[found[1]:]
	}
	if len(text) > most || out.Len() > most {
		p.wrongAt(at, "has more than %d bytes, with the values of its variables", most)
		return ""
	}
	p.valid(at, func(v *validate.Validator) { v.NoNUL(at, out.String()) })
	return out.String()
}

// valueOf is the value of a reference.
func (p *parser) valueOf(at, found string, from sources) string {
	name := strings.Trim(found, "${}")
	value, ok := from.env[name]
	switch {
	case found == "$$":
		return "$"
	case name == "":
		p.wrongAt(at, "has a $ without the name of a variable; $$ is the sign itself")
	case slices.Contains(from.secrets, name):
		p.wrongAt(at, "has $%s, which is a secret: its value is not known here", name)
	case !ok:
		p.wrongAt(at, "has $%s, which is not in the environment of the step", name)
	}
	return value
}

// relative notes a path that leads out of where it starts.
func (p *parser) relative(at, value string) bool {
	return p.valid(at, func(v *validate.Validator) { v.RelativePath(at, value) }) && p.text(at, value, maxWord)
}

// variable notes what cannot be the name of an environment variable.
func (p *parser) variable(at, name string) {
	p.valid(at, func(v *validate.Validator) { v.EnvName(at, name) })
}

// text notes a text that is too long, or cannot be stored.
func (p *parser) text(at, value string, most int) bool {
	return p.valid(at, func(v *validate.Validator) {
		v.Checkf(at, len(value) <= most, "has more than %d bytes", most)
		v.NoNUL(at, value)
	})
}

// valid notes the first thing that a check finds.
func (p *parser) valid(at string, check func(v *validate.Validator)) bool {
	v := validate.New()
	check(v)
	wrong, found := errors.AsType[*validate.Errors](v.Err())
	if found {
		p.wrongAt(at, "%s", wrong.Fields[0].Message)
	}
	return !found
}

// duration is a duration that was read as one, within its bounds.
func (p *parser) duration(at, written string, least, most time.Duration) contract.Duration {
	d, err := time.ParseDuration(written)
	if err != nil || d < least || d > most {
		p.wrongAt(at, "must be from %s to %s", least, most)
	}
	return contract.Duration(d)
}

// unique notes what a list has twice, and tells whether it is short enough to be looked at.
func (p *parser) unique(at string, list []string, most int) bool {
	if len(list) > most {
		p.wrongAt(at, "has more than %d items", most)
		return false
	}
	for i, item := range list {
		if slices.Index(list, item) < i {
			p.wrongAt(fmt.Sprintf("%s[%d]", at, i), "is %q, which is there twice", item)
		}
	}
	return true
}

// listed are words as they are told.
func listed(words []string) string {
	if len(words) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:9], ", "), len(words)-9)
	}
	return strings.Join(words, ", ")
}
