package httpapi

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
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
	// Permissions is "ask" where the agent asks before it changes anything, "all"
	// where absent.
	Permissions string `json:"permissions"`

	Approval        string `json:"approval"`         // "required" holds the command until it is approved
	ApprovalTimeout string `json:"approval_timeout"` // as "4h"; a day where absent
	ApprovalDefault string `json:"approval_default"` // what is decided after that: approved, denied

	Workdir     string            `json:"workdir"`
	Env         map[string]string `json:"env"`
	Credentials []string          `json:"credentials"`
	Timeout     string            `json:"timeout"` // as "30m"
}

type limitRequest struct {
	Wall    string   `json:"wall"`
	Silence string   `json:"silence"`
	Turns   *int     `json:"turns"`
	Tokens  *int64   `json:"tokens"`
	CostUSD *float64 `json:"cost_usd"`
}

// Limits of a request, in bytes where nothing else is said.
const (
	maxScript = 100_000 // one argument of a program may have 128 KiB
	maxPrompt = 200_000
	maxArgs   = 1000
	maxArgv   = 100_000
	maxEnv    = 64 << 10
	maxWord   = 1000

	maxCredentials = 100 // names
	maxTimeout     = 24 * time.Hour

	minApprovalTimeout = time.Second
	maxApprovalTimeout = 7 * 24 * time.Hour
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
	project, err := slugOf(r)
	if err != nil {
		return err
	}
	if err := h.limitStart(w, r, project); err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.RunCommand(ctx, asker, project, kind, command)
	})
}

// Command checks the request, and is what it asks for.
func (c CommandRequest) Command() (kind string, cmd contract.Command, err error) {
	v := validate.New()
	cmd = contract.Command{Workdir: c.Workdir, Env: c.Env, Credentials: c.Credentials, Timeout: durationOf(v, "timeout", c.Timeout)}
	switch c.Kind {
	case "shell":
		kind, cmd.Shell = contract.KindShell, c.shell(v)
	case "git":
		kind, cmd.Git = contract.KindGit, c.git(v)
	case "agent":
		kind, cmd.Agent = contract.KindAgent, c.agent(v, cmd.Timeout)
	default:
		v.OneOf("kind", c.Kind, "shell", "git", "agent")
		return "", cmd, v.Err()
	}
	c.approvals(v, &cmd)
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
	checkText(v, "script", c.Script, maxScript)
	checkList(v, "argv", c.Argv, maxArgs, maxArgv)
	if len(c.Argv) > 0 {
		v.Check("argv[0]", c.Argv[0] != "", "must name a program")
	}
	return &contract.Shell{Argv: c.Argv, Script: c.Script}
}

func (c CommandRequest) agent(v *validate.Validator, timeout contract.Duration) *contract.Agent {
	v.Required("provider", c.Provider)
	var names []string
	for _, known := range contract.Agents() {
		names = append(names, known.Name)
	}
	v.OneOf("provider", c.Provider, names...)
	v.Check("prompt", strings.TrimSpace(c.Prompt) != "", "is required")
	checkText(v, "prompt", c.Prompt, maxPrompt)
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
	traits, known := contract.AgentNamed(c.Provider)
	if c.Permissions != "" {
		v.OneOf("permissions", c.Permissions, contract.PermissionsAll, contract.PermissionsAsk)
		v.Checkf("permissions", !known || traits.Asks || c.Permissions != contract.PermissionsAsk, "must be all: %s can not ask, claude-code can", c.Provider)
	}
	if c.Permissions == contract.PermissionsAsk {
		agent.Permissions = c.Permissions
	}
	if c.Limits != nil {
		agent.Limits = c.Limits.limits(v, "limits")
		v.Checkf("limits.cost_usd", !known || traits.TellsCost || c.Limits.CostUSD == nil, "can not be kept: %s does not tell what it costs; give tokens", c.Provider)
	}
	if agent.Limits.Wall == 0 {
		agent.Limits.Wall = timeout
	}
	return agent
}

// limits checks the limits of a field, and is what they ask for.
func (l limitRequest) limits(v *validate.Validator, field string) contract.AgentLimits {
	limits := contract.AgentLimits{
		Wall: durationOf(v, field+".wall", l.Wall), Silence: durationOf(v, field+".silence", l.Silence),
	}
	if l.Turns != nil {
		v.Check(field+".turns", *l.Turns > 0, "must be positive")
		limits.Turns = *l.Turns
	}
	if l.Tokens != nil {
		v.Check(field+".tokens", *l.Tokens > 0, "must be positive")
		limits.Tokens = *l.Tokens
	}
	if l.CostUSD != nil {
		v.Check(field+".cost_usd", *l.CostUSD > 0, "must be positive")
		limits.CostUSD = *l.CostUSD
	}
	return limits
}

// approvals sets what the command waits for.
func (c CommandRequest) approvals(v *validate.Validator, cmd *contract.Command) {
	asks := c.Approval != "" || c.Permissions == contract.PermissionsAsk
	if c.Approval != "" {
		v.OneOf("approval", c.Approval, contract.ApprovalRequired)
		cmd.Approval = c.Approval
	}
	if c.ApprovalTimeout != "" {
		timeout, err := time.ParseDuration(c.ApprovalTimeout)
		v.Check("approval_timeout", err == nil, `must be a duration as "4h"`)
		v.Duration("approval_timeout", timeout, minApprovalTimeout, maxApprovalTimeout)
		v.Check("approval_timeout", asks, "is for commands that wait for an approval")
		cmd.ApprovalTimeout = contract.Duration(timeout)
	}
	if c.ApprovalDefault != "" {
		v.OneOf("approval_default", c.ApprovalDefault, string(contract.ApprovalApproved), string(contract.ApprovalDenied))
		v.Check("approval_default", asks, "is for commands that wait for an approval")
		cmd.ApprovalDefault = contract.ApprovalState(c.ApprovalDefault)
	}
}

func (c CommandRequest) checkCommon(v *validate.Validator) {
	if c.Workdir != "" {
		v.RelativePath("workdir", c.Workdir)
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		field := "env." + name
		v.EnvName(field, name)
		v.NoNUL(field, c.Env[name])
		size += len(name) + len(c.Env[name])
	}
	v.Checkf("env", size <= maxEnv, "has more than %d bytes", maxEnv)
	v.Checkf("credentials", len(c.Credentials) <= maxCredentials, "must have at most %d names", maxCredentials)
	for i, name := range c.Credentials {
		v.EnvName(fmt.Sprintf("credentials[%d]", i), name)
		_, both := c.Env[name]
		v.Check(fmt.Sprintf("credentials[%d]", i), !both, "is in env, too")
	}
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
		{"agent", "permissions", c.Permissions != ""},
	}
	for _, f := range fields {
		v.Checkf(f.name, !f.set || f.kind == c.Kind, "belongs to kind %s, not %s", f.kind, c.Kind)
	}
}

func checkText(v *validate.Validator, field, value string, maxBytes int) {
	v.Checkf(field, len(value) <= maxBytes, "has more than %d bytes", maxBytes)
	v.NoNUL(field, value)
}

func checkWord(v *validate.Validator, field, value string) {
	checkText(v, field, value, maxWord)
	v.Check(field, !strings.HasPrefix(value, "-"), "must not begin with a dash")
}

// durationOf reads a limit of time; "" and "0s" leave it to whoever runs the command.
func durationOf(v *validate.Validator, field, value string) contract.Duration {
	return durationUpTo(v, field, value, maxTimeout)
}

// checkList tells whether the list is short enough for its items to be looked at.
func checkList(v *validate.Validator, field string, list []string, maxItems, maxBytes int) bool {
	if len(list) > maxItems {
		v.Checkf(field, false, "has more than %d items", maxItems)
		return false
	}
	size := 0
	for i, item := range list {
		size += len(item)
		v.NoNUL(fmt.Sprintf("%s[%d]", field, i), item)
	}
	v.Checkf(field, size <= maxBytes, "has more than %d bytes", maxBytes)
	return true
}
