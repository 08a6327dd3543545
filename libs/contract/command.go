package contract

import (
	"strings"
	"time"
)

// Kinds of operations.
const (
	KindShell         = "command.shell"
	KindGit           = "command.git"
	KindAgent         = "command.agent"
	KindProjectCreate = "project.create"
	KindProjectChange = "project.change"
	KindProjectRepair = "project.repair"
	KindProjectDelete = "project.delete"
)

// ProjectKinds are the kinds of operations on projects.
func ProjectKinds() []string {
	return []string{KindProjectCreate, KindProjectChange, KindProjectRepair, KindProjectDelete}
}

// IsProject tells whether an operation of a kind makes or removes a project.
func IsProject(kind string) bool { return strings.HasPrefix(kind, "project.") }

// RunOperation is the message on a lane: carry this operation out.
type RunOperation struct {
	Operation string `json:"operation"`
	Project   string `json:"project"`
	Kind      string `json:"kind"`
	Worker    string `json:"worker,omitempty"` // whose lane it is, for work
}

// Command is what to run in a project. Exactly one of Shell, Git, Agent, Image and
// Deploy is set, the last two for steps of builds alone.
type Command struct {
	Shell  *Shell  `json:"shell,omitempty"`
	Git    *Git    `json:"git,omitempty"`
	Agent  *Agent  `json:"agent,omitempty"`
	Image  *Image  `json:"image,omitempty"`
	Deploy *Deploy `json:"deploy,omitempty"`

	// Workdir is where it runs, relative to the workspace, "" for its root.
	Workdir string `json:"workdir,omitempty"`
	// Env is added to the environment; it is part of the log, so no place for secrets.
	Env map[string]string `json:"env,omitempty"`
	// Credentials are names of secrets that arrive as environment variables.
	Credentials []string `json:"credentials,omitempty"`
	// Timeout is the wall clock limit, 0 for the executor's default.
	Timeout Duration `json:"timeout,omitzero"`

	// Approval is ApprovalRequired where it may not start before it was approved.
	Approval string `json:"approval,omitempty"`
	// ApprovalTimeout is after how long an approval is decided by itself, as
	// ApprovalDefault says.
	ApprovalTimeout Duration      `json:"approval_timeout,omitzero"`
	ApprovalDefault ApprovalState `json:"approval_default,omitempty"`
}

// Shell is a program with arguments, or a script for /bin/sh.
type Shell struct {
	Argv   []string `json:"argv,omitempty"`
	Script string   `json:"script,omitempty"`
}

// Git is a structured verb; which fields matter depends on it.
type Git struct {
	Verb    string   `json:"verb"`              // one of GitVerbs
	URL     string   `json:"url,omitempty"`     // clone
	Ref     string   `json:"ref,omitempty"`     // clone, checkout, diff, log, push, pull: branch, tag or commit
	Create  bool     `json:"create,omitempty"`  // checkout, branch: make it
	Name    string   `json:"name,omitempty"`    // branch
	Depth   int      `json:"depth,omitempty"`   // clone
	Message string   `json:"message,omitempty"` // commit
	Paths   []string `json:"paths,omitempty"`   // commit, diff, log; everything where empty
	Author  string   `json:"author,omitempty"`  // commit: "Name <mail>"
	Remote  string   `json:"remote,omitempty"`  // push, pull; "origin" where empty
	Force   bool     `json:"force,omitempty"`   // push, with lease
	Limit   int      `json:"limit,omitempty"`   // log, 50 where 0
}

// GitVerbs are the verbs of a git command.
func GitVerbs() []string {
	return []string{"clone", "checkout", "branch", "status", "diff", "commit", "push", "pull", "log"}
}

// Image is a container image to be built of a Dockerfile, by the engine that the worker
// has.
type Image struct {
	Context    string            `json:"context,omitempty"`    // a directory of the workspace, its root where empty
	Dockerfile string            `json:"dockerfile,omitempty"` // relative to Context, "Dockerfile" where empty
	Target     string            `json:"target,omitempty"`     // a stage
	Args       map[string]string `json:"args,omitempty"`       // build arguments; they are in the image's history, so no secrets
	Tags       []string          `json:"tags"`                 // names of the image, as "registry.example.com/shop:1.2"
	Push       bool              `json:"push,omitempty"`
}

// Deploy is what a Kubernetes cluster is to have: a directory with a kustomization. The
// credential KUBECONFIG says which cluster, and who rdev is there.
type Deploy struct {
	Kustomize string   `json:"kustomize"`
	Namespace string   `json:"namespace,omitempty"` // of what names none
	Rollout   []string `json:"rollout,omitempty"`   // what has to be ready afterwards, as "deployment/shop"
}

// GitResolve is the verb that tells which commit a ref of a repository is: for the steps
// of builds that rdev itself adds.
const GitResolve = "resolve"

// Agent is a prompt for a coding agent.
type Agent struct {
	Provider string `json:"provider"` // claude-code, opencode, codex, gemini
	Prompt   string `json:"prompt"`
	Model    string `json:"model,omitempty"`   // the provider's default where empty
	Session  string `json:"session,omitempty"` // to resume
	// Permissions is PermissionsAsk where the agent asks before it uses a tool that
	// changes something: each is an approval of the operation.
	Permissions string      `json:"permissions,omitempty"`
	Limits      AgentLimits `json:"limits,omitzero"`
}

// Permissions of an agent.
const (
	PermissionsAll = "all" // its workspace is its sandbox: it asks for nothing
	PermissionsAsk = "ask"
)

// AgentLimits end an agent that goes on for too long; zero is the default.
type AgentLimits struct {
	Wall    Duration `json:"wall,omitzero"`
	Silence Duration `json:"silence,omitzero"`
	Turns   int      `json:"turns,omitempty"`
	Tokens  int64    `json:"tokens,omitempty"` // Usage.Tokens
	CostUSD float64  `json:"cost_usd,omitempty"`
}

// Duration is a time.Duration that JSON writes in Go style, "30m".
type Duration time.Duration

// MarshalText writes "1h30m0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}
