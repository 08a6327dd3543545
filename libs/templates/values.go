package templates

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/validate"
)

// maxValue is how many characters a value may have.
const maxValue = 200

// modulePattern is a Go module path: a domain, and names below it.
var modulePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+(/[A-Za-z0-9][A-Za-z0-9._-]*)*$`)

// reserved are names that Windows has, and so Go in no path of a module.
var reserved = regexp.MustCompile(`^(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)

// isModule says whether a text is the path of a Go module that others can lie below.
func isModule(value string) bool {
	if !modulePattern.MatchString(value) || strings.HasPrefix(value, "gopkg.in/") {
		return false // below gopkg.in paths have versions
	}
	for element := range strings.SplitSeq(value, "/") {
		if reserved.MatchString(element) || strings.HasSuffix(element, ".") || strings.Contains(element, "..") {
			return false
		}
	}
	return true
}

// wrongValue is what is wrong with the value of a parameter, "" where nothing is.
func wrongValue(parameter, value string) string {
	if utf8.RuneCountInString(value) > maxValue {
		return "must have at most 200 characters"
	}
	switch parameter {
	case "module":
		if !isModule(value) {
			return "must be the path of a Go module, such as git.example.com/team/shop"
		}
	case "repository":
		if value != "" && !isRepository(value) {
			return "must be the URL of a Git repository, without a password, such as https://git.example.com/shop.git"
		}
	default:
		if !isLine(value) {
			return "must be one line of text that can be printed"
		}
	}
	return ""
}

// isLine says whether a text is a line with something in it.
func isLine(value string) bool {
	printed := strings.IndexFunc(value, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) < 0
	return printed && strings.TrimSpace(value) != ""
}

// isRepository says whether a text is a URL that git can clone, and that tells nobody a secret.
func isRepository(value string) bool {
	plain := strings.IndexFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`\\<>{}|^", r) }) < 0
	u, err := url.Parse(value)
	if err != nil || !plain || u.Host == "" || !slices.Contains([]string{"https", "http", "ssh", "git"}, u.Scheme) {
		return false
	}
	_, secret := u.User.Password()
	return !secret && (u.User == nil || u.Scheme == "ssh")
}

// componentPattern is the name of a component: a slug that begins with a letter.
var componentPattern = regexp.MustCompile(`^[a-z]`)

// wrongComponent is what is wrong with a component, "" where nothing is.
func wrongComponent(component Component) string {
	if _, err := kindOf(component.Kind); err != nil {
		var known []string
		for _, k := range kinds() {
			known = append(known, k.Name)
		}
		return "must be of the kind " + strings.Join(known, ", ")
	}
	if !validate.IsSlug(component.Name) || !componentPattern.MatchString(component.Name) {
		return "must have a name of 1 to 40 of a-z, 0-9 and hyphen that begins with a letter and ends with a letter or digit"
	}
	// Go or .gitignore have directories of these names for something else, and pkg is there.
	others := []string{"pkg", "vendor", "testdata", "internal", "dist", "secrets"}
	if slices.Contains(others, component.Name) || reserved.MatchString(component.Name) {
		return "must have another name than " + component.Name
	}
	return ""
}

// quoted is a text as JSON, which is YAML, too.
func quoted(text string) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(text)
	return strings.TrimSuffix(out.String(), "\n"), err
}

// markdown is a text that Markdown shows as it is.
func markdown(text string) string {
	var out strings.Builder
	for _, r := range text {
		if strings.ContainsRune("\\`*_[]<>|&#~!", r) {
			out.WriteByte('\\')
		}
		out.WriteRune(r)
	}
	return out.String()
}
