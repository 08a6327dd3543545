package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// KindBuild is the kind of builds: operations that have steps, each of which is a piece
// of work. A build has no lane; the gateways take it from step to step.
const KindBuild = "build.run"

// TypeStepped is the event of a build whose steps have come further.
const TypeStepped = "stepped"

// Bounds of builds.
const (
	MaxBuildSteps     = 100 // with each of a matrix
	MaxArtifacts      = 100 // of a step
	MaxArtifactBytes  = 2 << 30
	MaxCacheBytes     = 2 << 30
	DefaultBuildLimit = 2 * time.Hour
)

// Build is what an operation of kind KindBuild has to do, and how far it is.
type Build struct {
	Name string `json:"name,omitempty"`
	// Repository is what the workspace of each step holds, but for steps that say
	// otherwise.
	Repository *Repository `json:"repository,omitempty"`
	Priority   Priority    `json:"priority"`
	// Timeout is for the whole, from its first step on.
	Timeout Duration `json:"timeout"`
	// FailFast ends it as soon as a step has failed.
	FailFast bool              `json:"fail_fast,omitempty"`
	Params   map[string]string `json:"params,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	// Steps are in the order in which they were written, those of a matrix one after the
	// other.
	Steps []BuildStep `json:"steps"`
	// RerunOf is the build whose steps these are once more. Those that it had completed
	// may be taken from it.
	RerunOf string `json:"rerun_of,omitempty"`
}

// BuildStep is a step of a build: first what it is to do, then how far it is.
type BuildStep struct {
	Name string `json:"name"` // "test", or of a matrix "test@linux,amd64"
	// Of is the name that the step has in the specification: what Needs names. All of a
	// matrix have the same.
	Of     string            `json:"of"`
	Matrix map[string]string `json:"matrix,omitempty"` // its values, which are in Command.Env, too
	Needs  []string          `json:"needs,omitempty"`
	// If is the condition under which it runs, once all that it needs has ended; "" is
	// that all of that went well.
	If string `json:"if,omitempty"`
	// AllowFailure has the build go on as if it had gone well.
	AllowFailure bool   `json:"allow_failure,omitempty"`
	Kind         string `json:"kind"` // of its work: work.build, work.deploy, …
	// Command, Repository and Files are those of its work.
	Command     Command     `json:"command"`
	Repository  *Repository `json:"repository,omitempty"`
	Files       Files       `json:"files,omitzero"`
	Services    []Service   `json:"services,omitempty"`
	MaxAttempts int         `json:"max_attempts"`
	Backoff     Duration    `json:"backoff"`

	State StepState `json:"state"`
	// Operation is its piece of work, "" where it came to none.
	Operation string `json:"operation,omitempty"`
	// Reused is true where that is of an earlier build.
	Reused     bool       `json:"reused,omitempty"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	ExitCode   *int       `json:"exit_code,omitempty"`
	Failure    *Failure   `json:"failure,omitempty"`
	// Commit is what the repository was at, of a step with a verb of git.
	Commit string `json:"commit,omitempty"`
}

// StepState is where a step of a build stands.
type StepState string

// The states of a step.
const (
	StepPending   StepState = "pending" // it waits for what it needs
	StepRunning   StepState = "running" // it is a piece of work, which may wait for a worker
	StepCompleted StepState = "completed"
	StepFailed    StepState = "failed"
	StepCancelled StepState = "cancelled"
	StepSkipped   StepState = "skipped" // its condition was not met
)

// Ended tells whether nothing can follow.
func (s StepState) Ended() bool { return s != StepPending && s != StepRunning }

// StepOperation is the id of the piece of work that a step of a build comes to; index
// is its place in Steps.
func StepOperation(build string, index int) string { return build + "-" + strconv.Itoa(index+1) }

// Step is the step of a name.
func (b *Build) Step(name string) (*BuildStep, bool) {
	for i := range b.Steps {
		if b.Steps[i].Name == name {
			return &b.Steps[i], true
		}
	}
	return nil, false
}

// Ended tells whether all steps have.
func (b *Build) Ended() bool {
	for _, step := range b.Steps {
		if !step.State.Ended() {
			return false
		}
	}
	return true
}

// StepOf says of which build a piece of work is a step.
type StepOf struct {
	Build string `json:"build"`
	Step  string `json:"step"`
}

// Files are what comes into the directories of a piece of work before it starts, and
// what is kept of them when it has ended. They are in the store of files, and go to
// and from the workspace through the runner.
type Files struct {
	// Inputs are the artifacts of other operations: they are in $RDEV_INPUTS/<name>/.
	Inputs []Input `json:"inputs,omitempty"`
	// Caches are directories that are found as the last piece of work of the project
	// with that key left them, where it went well.
	Caches []Cache `json:"caches,omitempty"`
	// Artifacts are the paths and patterns, of the workspace, of what is kept of work that
	// went well. A directory is kept as one tar file.
	Artifacts []string `json:"artifacts,omitempty"`
}

// Input names the artifacts of an operation that has completed.
type Input struct {
	Name      string `json:"name"` // of the directory: of a step
	Operation string `json:"operation"`
}

// Cache is a set of directories of the home that last from one piece of work to another.
type Cache struct {
	Key   string   `json:"key"`
	Paths []string `json:"paths"` // relative to the home, as "go/pkg/mod"
}

// Artifact is a file that a piece of work left.
type Artifact struct {
	Path   string `json:"path"`           // in the workspace; that of a directory ends with ".tar"
	Size   int64  `json:"size"`           // bytes
	Digest string `json:"digest"`         // "sha256:" and 64 hexadecimal digits
	Dir    bool   `json:"dir,omitempty"`  // it is the tar file of a directory
	Exec   bool   `json:"exec,omitempty"` // it may be carried out
}

// Service is a program that runs beside the work, from before it starts to its end.
type Service struct {
	Name   string `json:"name"`
	Script string `json:"script"`
	// Ready is a script that succeeds once the service can be used; "" where it need not
	// be waited for.
	Ready string `json:"ready,omitempty"`
	// Within is how long that may take.
	Within Duration `json:"within,omitzero"`
}

// OperationStepped says how far the steps of a build are. The first one starts it.
type OperationStepped struct {
	Steps []BuildStep
	At    time.Time
}

// Type implements Change.
func (OperationStepped) Type() string { return TypeStepped }

func (OperationStepped) attempt() int { return 0 }

func (c OperationStepped) may(o *Operation) error {
	if o.Build == nil || len(c.Steps) != len(o.Build.Steps) {
		return fmt.Errorf("%w: %s of an operation without these steps", ErrIllegal, TypeStepped)
	}
	return nil
}

func (c OperationStepped) apply(o *Operation) {
	build := *o.Build
	build.Steps = c.Steps
	o.Build, o.State, o.Attempt = &build, Running, 1
	if o.StartedAt == nil {
		o.StartedAt = &c.At
	}
}

// ArtifactsPrefix begins the keys of a project's artifacts in the store of files, which
// go on with the digest; those of all projects where project is "".
func ArtifactsPrefix(project string) string { return path.Join("artifacts", project) }

// ArtifactKey is where the store of files has an artifact of a project.
func ArtifactKey(project, digest string) string {
	return ArtifactsPrefix(project) + "/" + strings.TrimPrefix(digest, "sha256:")
}

// CachesPrefix begins the keys of a project's caches in the store of files, those of all
// projects where project is "".
func CachesPrefix(project string) string { return path.Join("caches", project) }

// CacheKey is where the store of files has a cache of a project.
func CacheKey(project, key string) string {
	sum := sha256.Sum256([]byte(key))
	return CachesPrefix(project) + "/" + hex.EncodeToString(sum[:])
}
