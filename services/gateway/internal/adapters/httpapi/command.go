package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// CommandRequest is the body of POST /projects/{project}/commands. Which fields
// may be set depends on Kind.
type CommandRequest struct {
	Kind string `json:"kind"` // shell, git, agent

	Argv   []string `json:"argv"`   // shell: the program and its arguments
	Script string   `json:"script"` // shell: text for /bin/sh, instead of argv

	Verb    string   `json:"verb"` // git
	URL     string   `json:"url"`
	Ref     string   `json:"ref"`
	Create  bool     `json:"create"`
	Name    string   `json:"name"`
	Depth   int      `json:"depth"`
	Message string   `json:"message"`
	Paths   []string `json:"paths"`
	Author  string   `json:"author"`
	Remote  string   `json:"remote"`
	Force   bool     `json:"force"`
	Limit   int      `json:"limit"`

	Provider string        `json:"provider"` // agent
	Prompt   string        `json:"prompt"`
	Model    *string       `json:"model"`
	Session  *string       `json:"session"`
	Limits   *limitRequest `json:"limits"`

	Workdir     string            `json:"workdir"`
	Env         map[string]string `json:"env"`
	Credentials []string          `json:"credentials"`
	Timeout     contract.Duration `json:"timeout"`
}

type limitRequest struct {
	Wall    contract.Duration `json:"wall"`
	Silence contract.Duration `json:"silence"`
	Turns   *int              `json:"turns"`
	CostUSD *float64          `json:"cost_usd"`
}

// Limits of a request, in bytes where nothing else is said.
const (
	maxScript  = 100_000 // one argument of a program may have 128 KiB
	maxPrompt  = 200_000
	maxArgs    = 1000
	maxArgv    = 100_000
	maxEnv     = 64 << 10
	maxWord    = 1000
	maxTimeout = 24 * time.Hour
)

func (h *handlers) runCommand(w http.ResponseWriter, r *http.Request) error {
	request, err := api.DecodeJSON[CommandRequest](w, r)
	if err != nil {
		return err
	}
	kind, command, err := request.Command()
	if err != nil {
		return err
	}
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	project, err := slugOf(r)
	if err != nil {
		return err
	}
	accepted, err := h.app.RunCommand(r.Context(), asker, project, kind, command)
	if err != nil {
		return err
	}
	return h.writeAccepted(w, r, accepted)
}

// Command checks the request, and is what it asks for.
func (c CommandRequest) Command() (kind string, cmd contract.Command, err error) {
	v := validate.New()
	cmd = contract.Command{Workdir: c.Workdir, Env: c.Env, Timeout: c.Timeout}
	switch c.Kind {
	case "shell":
		kind, cmd.Shell = contract.KindShell, c.shell(v)
	case "git":
		kind, cmd.Git = contract.KindGit, c.git(v)
	case "agent":
		kind, cmd.Agent = contract.KindAgent, c.agent(v)
	default:
		v.OneOf("kind", c.Kind, "shell", "git", "agent")
	}
	c.checkForeign(v)
	c.checkCommon(v)
	return kind, cmd, v.Err()
}

func (c CommandRequest) shell(v *validate.Validator) *contract.Shell {
	switch {
	case len(c.Argv) > 0 && c.Script != "":
		v.Check("script", false, "must not be given together with argv")
	case len(c.Argv) == 0 && c.Script == "":
		v.Check("argv", false, "is required, or script instead of it")
	}
	v.MaxLen("script", c.Script, maxScript)
	v.NoNUL("script", c.Script)
	checkList(v, "argv", c.Argv, maxArgs, maxArgv)
	if len(c.Argv) > 0 {
		v.Check("argv[0]", c.Argv[0] != "", "must name a program")
	}
	return &contract.Shell{Argv: c.Argv, Script: c.Script}
}

func (c CommandRequest) agent(v *validate.Validator) *contract.Agent {
	v.Required("provider", c.Provider)
	v.OneOf("provider", c.Provider, "claude-code", "opencode", "codex", "gemini")
	v.Check("prompt", strings.TrimSpace(c.Prompt) != "", "is required")
	v.MaxLen("prompt", c.Prompt, maxPrompt)
	v.NoNUL("prompt", c.Prompt)
	agent := &contract.Agent{Provider: c.Provider, Prompt: c.Prompt}
	for _, word := range []struct {
		field string
		value *string
		to    *string
	}{{"model", c.Model, &agent.Model}, {"session", c.Session, &agent.Session}} {
		if word.value != nil {
			checkWord(v, word.field, *word.value)
			*word.to = *word.value
		}
	}
	if l := c.Limits; l != nil {
		checkTimeout(v, "limits.wall", l.Wall)
		checkTimeout(v, "limits.silence", l.Silence)
		agent.Limits = contract.AgentLimits{Wall: l.Wall, Silence: l.Silence}
		if l.Turns != nil {
			v.Check("limits.turns", *l.Turns > 0, "must be positive")
			agent.Limits.Turns = *l.Turns
		}
		if l.CostUSD != nil {
			v.Check("limits.cost_usd", *l.CostUSD > 0, "must be positive")
			agent.Limits.CostUSD = *l.CostUSD
		}
	}
	if agent.Limits.Wall == 0 {
		agent.Limits.Wall = c.Timeout
	}
	return agent
}

func (c CommandRequest) checkCommon(v *validate.Validator) {
	if c.Workdir != "" {
		v.RelativePath("workdir", c.Workdir)
	}
	checkTimeout(v, "timeout", c.Timeout)
	size := 0
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		field := "env." + name
		v.EnvName(field, name)
		v.NoNUL(field, c.Env[name])
		size += len(name) + len(c.Env[name])
	}
	v.Checkf("env", size <= maxEnv, "has more than %d bytes", maxEnv)
	v.Check("credentials", len(c.Credentials) == 0, "are not available yet: this installation has no vault")
}

// checkForeign refuses what belongs to another kind: it would be ignored, and
// its sender would not know.
func (c CommandRequest) checkForeign(v *validate.Validator) {
	fields := []struct {
		kind, name string
		set        bool
	}{
		{"shell", "argv", c.Argv != nil},
		{"shell", "script", c.Script != ""},
		{"git", "verb", c.Verb != ""},
		{"git", "url", c.URL != ""},
		{"git", "ref", c.Ref != ""},
		{"git", "create", c.Create},
		{"git", "name", c.Name != ""},
		{"git", "depth", c.Depth != 0},
		{"git", "message", c.Message != ""},
		{"git", "paths", c.Paths != nil},
		{"git", "author", c.Author != ""},
		{"git", "remote", c.Remote != ""},
		{"git", "force", c.Force},
		{"git", "limit", c.Limit != 0},
		{"agent", "provider", c.Provider != ""},
		{"agent", "prompt", c.Prompt != ""},
		{"agent", "model", c.Model != nil},
		{"agent", "session", c.Session != nil},
		{"agent", "limits", c.Limits != nil},
	}
	for _, f := range fields {
		if f.set && c.Kind != f.kind && (c.Kind == "shell" || c.Kind == "git" || c.Kind == "agent") {
			v.Checkf(f.name, false, "belongs to kind %s, not %s", f.kind, c.Kind)
		}
	}
}

// gitFields are the fields that each verb takes; those with a star are required.
func gitFields() map[string][]string {
	return map[string][]string{
		"clone":    {"url*", "ref", "depth"},
		"checkout": {"ref*", "create"},
		"branch":   {"name"},
		"status":   {},
		"diff":     {"ref", "paths"},
		"log":      {"ref", "paths", "limit"},
		"commit":   {"message*", "paths", "author"},
		"push":     {"remote", "ref", "force"},
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
	checkGitURL(v, c.URL)
	for field, value := range map[string]string{"ref": c.Ref, "name": c.Name, "remote": c.Remote} {
		checkRef(v, field, value)
	}
	v.Check("depth", c.Depth >= 0, "must not be negative")
	v.Check("limit", c.Limit >= 0 && c.Limit <= 10_000, "must be between 1 and 10000")
	v.MaxLen("message", c.Message, maxScript)
	v.NoNUL("message", c.Message)
	v.Check("author", c.Author == "" || authorPattern.MatchString(c.Author), `must be "Name <mail>"`)
	checkList(v, "paths", c.Paths, maxArgs, maxArgv)
	for i, path := range c.Paths {
		v.RelativePath(fmt.Sprintf("paths[%d]", i), path)
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
	scpPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:\s\x00-\x1f][^\s\x00-\x1f]*$`)
)

func checkRef(v *validate.Validator, field, value string) {
	v.Check(field, value == "" || len(value) <= maxWord && refPattern.MatchString(value), "is not a name that git takes for a branch, tag or commit")
}

// checkGitURL takes what git may fetch from: no helpers that run programs, no
// option in disguise.
func checkGitURL(v *validate.Validator, value string) {
	if value == "" || len(value) <= maxWord && scpPattern.MatchString(value) {
		return
	}
	parsed, err := url.Parse(value)
	ok := err == nil && len(value) <= maxWord && slices.Contains([]string{"https", "http", "ssh", "git", "file"}, parsed.Scheme) &&
		(parsed.Host != "" || parsed.Scheme == "file") && !strings.HasPrefix(parsed.Host, "-")
	v.Check("url", ok, "must be an https, http, ssh, git or file URL")
}

func checkWord(v *validate.Validator, field, value string) {
	v.MaxLen(field, value, maxWord)
	v.NoNUL(field, value)
	v.Check(field, !strings.HasPrefix(value, "-"), "must not begin with a dash")
}

func checkTimeout(v *validate.Validator, field string, d contract.Duration) {
	v.Checkf(field, d >= 0 && time.Duration(d) <= maxTimeout, "must be positive and at most %s", maxTimeout)
}

func checkList(v *validate.Validator, field string, list []string, maxItems, maxBytes int) {
	v.Checkf(field, len(list) <= maxItems, "has more than %d items", maxItems)
	size := 0
	for i, item := range list {
		size += len(item)
		v.NoNUL(fmt.Sprintf("%s[%d]", field, i), item)
	}
	v.Checkf(field, size <= maxBytes, "has more than %d bytes", maxBytes)
}
