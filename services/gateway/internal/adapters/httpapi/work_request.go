package httpapi

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// WorkRequest is the body of POST /work. Exactly one of Argv, Script and Agent is set.
type WorkRequest struct {
	Kind       string               `json:"kind"` // build, test, deploy, custom
	Project    string               `json:"project"`
	Repository *contract.Repository `json:"repository"`

	Argv   []string      `json:"argv"`
	Script string        `json:"script"`
	Agent  *agentRequest `json:"agent"`

	Workdir     string            `json:"workdir"` // of the repository
	Env         map[string]string `json:"env"`
	Credentials []string          `json:"credentials"`
	Timeout     string            `json:"timeout"`

	Approval        string `json:"approval"`
	ApprovalTimeout string `json:"approval_timeout"`
	ApprovalDefault string `json:"approval_default"`

	Priority    contract.Priority `json:"priority"` // normal where absent
	RunAt       *time.Time        `json:"run_at"`
	Delay       string            `json:"delay"` // as "10m", instead of run_at
	MaxAttempts *int              `json:"max_attempts"`
	Backoff     string            `json:"backoff"` // as "10s"
	Labels      map[string]string `json:"labels"`
	// UniqueKey makes it the same as the last work of the project with that key, where
	// that has not ended.
	UniqueKey string `json:"unique_key"`
	// Artifacts are the paths and patterns, of the workspace, of what is kept of work that
	// went well.
	Artifacts []string `json:"artifacts"`
}

// agentRequest is what an agent is asked, as in a CommandRequest.
type agentRequest struct {
	Provider    string        `json:"provider"`
	Prompt      string        `json:"prompt"`
	Model       *string       `json:"model"`
	Session     *string       `json:"session"`
	Limits      *limitRequest `json:"limits"`
	Permissions string        `json:"permissions"`
}

// Limits of work.
const (
	maxDelay   = 30 * 24 * time.Hour
	maxLabels  = 50
	maxLabel   = 200 // bytes of a name, and of a value
	maxKept    = 50  // patterns of artifacts
	minBackoff = time.Second
)

// item checks the request, and is what it asks for at a time.
func (w WorkRequest) item(now time.Time) (app.WorkItem, error) {
	v := validate.New()
	v.Required("kind", w.Kind)
	v.OneOf("kind", w.Kind, contract.WorkKinds()...)
	v.Required("project", w.Project)
	v.Slug("project", w.Project)
	item := app.WorkItem{Project: w.Project, Kind: contract.WorkPrefix + w.Kind, Command: w.command(v), Work: w.work(v, now)}
	return item, v.Err()
}

// work is what the request says beside its command.
func (w WorkRequest) work(v *validate.Validator, now time.Time) contract.Work {
	work := contract.Work{
		Priority: w.Priority, RunAt: w.RunAt, MaxAttempts: 1, Backoff: contract.Duration(contract.DefaultBackoff), Labels: w.Labels,
		Repository: w.Repository, UniqueKey: w.UniqueKey, Delay: durationUpTo(v, "delay", w.Delay, maxDelay),
		Files: contract.Files{Artifacts: w.Artifacts},
	}
	w.when(v, &work, now)
	v.Checkf("artifacts", len(w.Artifacts) <= maxKept, "has more than %d", maxKept)
	for i, pattern := range w.Artifacts {
		field := fmt.Sprintf("artifacts[%d]", i)
		v.RelativePath(field, pattern)
		_, err := path.Match(pattern, "")
		v.Check(field, err == nil && path.Clean(pattern) != ".", "must be the path or the pattern of files of the workspace, as bin/shop or dist/*.js")
	}
	v.MaxLen("unique_key", w.UniqueKey, maxLabel)
	v.NoNUL("unique_key", w.UniqueKey)
	if w.Repository != nil {
		checkGitURL(v, "repository.url", w.Repository.URL)
		checkRef(v, "repository.ref", w.Repository.Ref)
	}
	v.Checkf("labels", len(w.Labels) <= maxLabels, "has more than %d", maxLabels)
	for _, name := range slices.Sorted(maps.Keys(w.Labels)) {
		v.Checkf("labels."+name, name != "" && len(name) <= maxLabel && len(w.Labels[name]) <= maxLabel, "must have a name, and at most %d bytes each for that and its value", maxLabel)
	}
	return work
}

// command is what runs, checked as a command of a project is.
func (w WorkRequest) command(v *validate.Validator) contract.Command {
	request := CommandRequest{
		Kind: "shell", Argv: w.Argv, Script: w.Script, Workdir: w.Workdir, Env: w.Env, Credentials: w.Credentials, Timeout: w.Timeout,
		Approval: w.Approval, ApprovalTimeout: w.ApprovalTimeout, ApprovalDefault: w.ApprovalDefault,
	}
	if a := w.Agent; a != nil {
		v.Check("agent", len(w.Argv) == 0 && w.Script == "", "must not be given together with argv or script")
		request.Kind, request.Argv, request.Script = "agent", nil, ""
		request.Provider, request.Prompt, request.Model, request.Session = a.Provider, a.Prompt, a.Model, a.Session
		request.Limits, request.Permissions = a.Limits, a.Permissions
	}
	v.Check("argv", w.Agent != nil || len(w.Argv) > 0 || w.Script != "", "is required, or script or agent instead of it")
	_, command, err := request.Command()
	if wrong, ok := errors.AsType[*validate.Errors](err); ok {
		for _, field := range wrong.Fields {
			name, _, _ := strings.Cut(field.Field, ".")
			if w.Agent != nil && slices.Contains([]string{"provider", "prompt", "model", "session", "limits", "permissions"}, name) {
				field.Field = "agent." + field.Field
			}
			v.Check(field.Field, false, field.Message)
		}
	}
	return command
}

// when sets in what order and how often the work is tried.
func (w WorkRequest) when(v *validate.Validator, work *contract.Work, now time.Time) {
	if work.Priority == "" {
		work.Priority = contract.PriorityNormal
	}
	v.OneOf("priority", string(work.Priority), string(contract.PriorityHigh), string(contract.PriorityNormal), string(contract.PriorityLow))
	v.Check("delay", w.RunAt == nil || w.Delay == "", "must not be given together with run_at")
	if w.RunAt != nil {
		at := w.RunAt.UTC()
		work.RunAt = &at
		v.Checkf("run_at", at.Before(now.Add(maxDelay)), "must be within %d days", maxDelay/(24*time.Hour))
	}
	if w.MaxAttempts != nil {
		v.Checkf("max_attempts", *w.MaxAttempts >= 1 && *w.MaxAttempts <= contract.MostAttempts, "must be from 1 to %d", contract.MostAttempts)
		work.MaxAttempts = *w.MaxAttempts
	}
	if w.Backoff != "" {
		work.Backoff = durationUpTo(v, "backoff", w.Backoff, contract.MaxBackoff)
		v.Checkf("backoff", time.Duration(work.Backoff) >= minBackoff, "must be at least %s", minBackoff)
	}
}

// durationUpTo reads a duration that may have a most of its own; "" is 0.
func durationUpTo(v *validate.Validator, field, value string, most time.Duration) contract.Duration {
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	v.Check(field, err == nil, `must be a duration such as "90s" or "1h30m"`)
	v.Checkf(field, d >= 0 && d <= most, "must not be negative, and at most %s", most)
	return contract.Duration(d)
}

// items checks the requests of many items. One that is wrong is nil, and its error is
// at its place.
func items(requests []WorkRequest, now time.Time) ([]*app.WorkItem, []error) {
	all, wrong := make([]*app.WorkItem, len(requests)), make([]error, len(requests))
	for i, request := range requests {
		item, err := request.item(now)
		if err != nil {
			wrong[i] = fmt.Errorf("item %d: %w", i, err)
			continue
		}
		all[i] = &item
	}
	return all, wrong
}
