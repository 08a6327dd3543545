package httpapi

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// gitFields are the fields that each verb takes; those with a star are required.
func gitFields() map[string][]string {
	return map[string][]string{
		"clone":    {"url", "ref", "depth"},
		"checkout": {"ref*", "create"},
		"branch":   {"name"},
		"status":   {},
		"diff":     {"ref", "paths"},
		"log":      {"ref", "paths", "limit"},
		"commit":   {"message*", "paths", "author"},
		"push":     {"remote", "ref", "force"},
		"pull":     {"remote", "ref"},
	}
}

func (c CommandRequest) git(v *validate.Validator) *contract.Git {
	v.Required("verb", c.Verb)
	v.OneOf("verb", c.Verb, contract.GitVerbs()...)
	set := map[string]bool{
		"url": c.URL != "", "ref": c.Ref != "", "create": c.Create, "name": c.Name != "", "depth": c.Depth != 0,
		"message": c.Message != "", "paths": len(c.Paths) > 0, "author": c.Author != "", "remote": c.Remote != "",
		"force": c.Force, "limit": c.Limit != 0,
	}
	if takes, known := gitFields()[c.Verb]; known {
		for _, field := range slices.Sorted(maps.Keys(set)) {
			v.Checkf(field, !set[field] || slices.Contains(takes, field) || slices.Contains(takes, field+"*"), "is not taken by git %s", c.Verb)
			v.Checkf(field, set[field] || !slices.Contains(takes, field+"*"), "is required by git %s", c.Verb)
		}
	}
	checkGitURL(v, "url", c.URL)
	checkRef(v, "ref", c.Ref)
	checkRef(v, "name", c.Name)
	checkRef(v, "remote", c.Remote)
	v.Check("depth", c.Depth >= 0, "must not be negative")
	v.Check("limit", c.Limit >= 0 && c.Limit <= 10_000, "must be between 1 and 10000")
	checkText(v, "message", c.Message, maxScript)
	v.Check("author", c.Author == "" || authorPattern.MatchString(c.Author), `must be "Name <mail>"`)
	if checkList(v, "paths", c.Paths, maxArgs, maxArgv) {
		for i, path := range c.Paths {
			v.RelativePath(fmt.Sprintf("paths[%d]", i), path)
		}
	}
	return &contract.Git{
		Verb: c.Verb, URL: c.URL, Ref: c.Ref, Create: c.Create, Name: c.Name, Depth: c.Depth, Message: c.Message,
		Paths: c.Paths, Author: c.Author, Remote: c.Remote, Force: c.Force, Limit: c.Limit,
	}
}

var (
	authorPattern = regexp.MustCompile(`^[^<>\x00-\x1f]{1,200} <[^<>\s\x00-\x1f]{1,200}>$`)
	// refPattern keeps a ref from being an option, a range trick or a path.
	refPattern = regexp.MustCompile(`^[A-Za-z0-9_@][A-Za-z0-9_./@{}^~+=-]*$`)
	// scpPattern is user@host:path, no part of which begins with a dash.
	scpPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:\s\x00-\x1f-][^\s\x00-\x1f]*$`)
)

func checkRef(v *validate.Validator, field, value string) {
	v.Check(field, value == "" || len(value) <= maxWord && refPattern.MatchString(value), "is not a name that git takes for a branch, tag or commit")
}

// checkGitURL takes what git may fetch from: no helper that runs a program, as
// ext:: does, and no option in disguise of a URL or a host.
func checkGitURL(v *validate.Validator, field, value string) {
	if value == "" || len(value) <= maxWord && scpPattern.MatchString(value) {
		return
	}
	parsed, err := url.Parse(value)
	ok := err == nil && len(value) <= maxWord && parsed.Opaque == "" && parsed.Path != "" && !strings.HasPrefix(parsed.Host, "-")
	switch {
	case !ok:
	case parsed.Scheme == "file":
		ok = strings.HasPrefix(value, "file:///")
	default:
		ok = parsed.Host != "" && slices.Contains([]string{"https", "http", "ssh", "git"}, parsed.Scheme)
	}
	v.Check(field, ok, "must be an https, http, ssh, git or file URL")
}
