package buildspec

// spec is a specification as it is written. The tags are the names of the fields, here and
// in all that it holds; "scalar" takes a number as text, as it is written, and "duration"
// takes text such as "90s".
type spec struct {
	Name       string            `yaml:"name"`
	Repository *Repository       `yaml:"repository"`
	Priority   string            `yaml:"priority"`
	Timeout    string            `yaml:"timeout,duration"`
	FailFast   bool              `yaml:"fail_fast"`
	Env        map[string]string `yaml:"env,scalar"`
	Secrets    []string          `yaml:"secrets"`
	Params     map[string]param  `yaml:"params"`
	Labels     map[string]string `yaml:"labels,scalar"`
	Steps      []step            `yaml:"steps"`
}

// step is a step as it is written. Exactly one of Run, Agent, Git, Image and Deploy is set.
type step struct {
	Name string `yaml:"name"`
	Kind string `yaml:"kind"`

	Run    program `yaml:"run"`
	Agent  *Agent  `yaml:"agent"`
	Git    *Git    `yaml:"git"`
	Image  *image  `yaml:"image"`
	Deploy *deploy `yaml:"deploy"`

	Needs        []string `yaml:"needs"`
	If           string   `yaml:"if"`
	AllowFailure bool     `yaml:"allow_failure"`
	Matrix       matrix   `yaml:"matrix"`

	Repository origin            `yaml:"repository"`
	Workdir    string            `yaml:"workdir"`
	Env        map[string]string `yaml:"env,scalar"`
	Secrets    []string          `yaml:"secrets"`
	Timeout    string            `yaml:"timeout,duration"`
	Attempts   *int              `yaml:"attempts"`
	Backoff    string            `yaml:"backoff,duration"`

	Cache     []cache   `yaml:"cache"`
	Artifacts []string  `yaml:"artifacts"`
	Services  []service `yaml:"services"`

	Approval        string `yaml:"approval"`
	ApprovalTimeout string `yaml:"approval_timeout,duration"`
	ApprovalDefault string `yaml:"approval_default"`
}

// Repository is a Git repository at a ref.
type Repository struct {
	URL string `yaml:"url"`
	Ref string `yaml:"ref"`
}

// Agent is what an agent is asked. What is nil was not written.
type Agent struct {
	Provider    string  `yaml:"provider"`
	Prompt      string  `yaml:"prompt"`
	Model       *string `yaml:"model"`
	Session     *string `yaml:"session"`
	Limits      *Limits `yaml:"limits"`
	Permissions string  `yaml:"permissions"`
}

// Limits end an agent that goes on for too long. What is nil or "" was not written.
type Limits struct {
	Wall    string   `yaml:"wall,duration"`
	Silence string   `yaml:"silence,duration"`
	Turns   *int     `yaml:"turns"`
	Tokens  *int64   `yaml:"tokens"`
	CostUSD *float64 `yaml:"cost_usd"`
}

// Git is a structured verb; which fields matter depends on it.
type Git struct {
	Verb    string   `yaml:"verb"`
	URL     string   `yaml:"url"`
	Ref     string   `yaml:"ref"`
	Create  bool     `yaml:"create"`
	Name    string   `yaml:"name"`
	Depth   int      `yaml:"depth"`
	Message string   `yaml:"message"`
	Paths   []string `yaml:"paths"`
	Author  string   `yaml:"author"`
	Remote  string   `yaml:"remote"`
	Force   bool     `yaml:"force"`
	Limit   int      `yaml:"limit"`
}

type image struct {
	Context    string            `yaml:"context"`
	Dockerfile string            `yaml:"dockerfile"`
	Target     string            `yaml:"target"`
	Args       map[string]string `yaml:"args,scalar"`
	Tags       []string          `yaml:"tags"`
	Push       bool              `yaml:"push"`
}

type deploy struct {
	Kustomize string   `yaml:"kustomize"`
	Namespace string   `yaml:"namespace"`
	Rollout   []string `yaml:"rollout"`
}

type cache struct {
	Key   string   `yaml:"key"`
	Paths []string `yaml:"paths"`
}

type service struct {
	Name   string `yaml:"name"`
	Run    string `yaml:"run"`
	Ready  string `yaml:"ready"`
	Within string `yaml:"within,duration"`
}

// program is a script, or a program with its arguments: text or a list.
type program struct {
	Script string
	Argv   []string
}

// origin is the repository of a step: a mapping, or "none" for no repository although the
// build has one.
type origin struct {
	Repository *Repository
	None       bool
}

// param is a parameter of a build: a mapping, or its default alone.
type param struct {
	Default     *string  `yaml:"default,scalar"`
	Values      []string `yaml:"values,scalar"`
	Description string   `yaml:"description"`
}

// matrix is a mapping of names to values, in the order in which it is written.
type matrix []axis

type axis struct {
	Name   string
	Values []string
}
