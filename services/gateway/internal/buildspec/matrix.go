package buildspec

import (
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// valuePattern keeps the values of a matrix from being read as anything else in a name.
var valuePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,40}$`)

// combinations are the values of each step that a matrix comes to, the last name changing
// first; one without any where there is no matrix.
func (p *parser) combinations(path string, m matrix) []map[string]string {
	path += ".matrix"
	if p.written(path) && len(m) == 0 {
		p.wrongAt(path, "must not be empty")
	}
	if len(m) > maxAxes {
		p.wrongAt(path, "has more than %d names", maxAxes)
		m = nil
	}
	all := []map[string]string{{}}
	for _, axis := range m {
		at := path + "." + axis.Name
		p.variable(at, axis.Name)
		if len(axis.Values) == 0 {
			p.wrongAt(at, "must not be empty")
			continue
		}
		for i, value := range axis.Values {
			if !valuePattern.MatchString(value) {
				p.wrongAt(fmt.Sprintf("%s[%d]", at, i), "is %q, and must be 1 to 40 letters, digits, dots, hyphens and underscores", value)
			}
		}
		p.unique(at, axis.Values, contract.MaxBuildSteps)
		if len(all)*len(axis.Values) > contract.MaxBuildSteps {
			p.wrongAt(path, "comes to more than %d steps", contract.MaxBuildSteps)
			return all[:1]
		}
		var more []map[string]string
		for _, values := range all {
			for _, value := range axis.Values {
				next := maps.Clone(values)
				next[axis.Name] = value
				more = append(more, next)
			}
		}
		all = more
	}
	return all
}

// instanceName is the name of a step of a matrix: "test@linux,amd64".
func instanceName(s step, values map[string]string) string {
	if len(values) == 0 {
		return s.Name
	}
	var words []string
	for _, axis := range s.Matrix {
		words = append(words, values[axis.Name])
	}
	return s.Name + "@" + strings.Join(words, ",")
}
