package contract

import (
	"fmt"
	"time"
)

// ProjectState is where a project stands.
//
//	created ──▶ ready ──deleting──▶ deleting ──deleted──▶ deleted ──created──▶ ready
//	abandoned ──────────────────────▶ deleting
type ProjectState string

// The states of a project.
const (
	ProjectReady    ProjectState = "ready"
	ProjectDeleting ProjectState = "deleting" // takes no more commands
	ProjectDeleted  ProjectState = "deleted"  // its slug is free again
)

// Types of the events of a project. Its state follows from the last one.
const (
	TypeProjectCreated  = "created"
	TypeProjectChanged  = "changed"  // it is to have something else, or has it
	TypeProjectPipeline = "pipeline" // its newest pipeline stands elsewhere
	TypeProjectBudgeted = "budgeted" // it has another budget, and is ready as before
	TypeProjectRenewed  = "renewed"  // it is as before: the log would have forgotten it
	TypeProjectDeleting = "deleting"
	TypeProjectDeleted  = "deleted"
	// TypeProjectAbandoned is of a project that could not be made, and of which something
	// is left: another delete removes it.
	TypeProjectAbandoned = "abandoned"
)

// Project is a namespace for work. Every event about it carries all of it.
type Project struct {
	Slug      string       `json:"slug"`
	State     ProjectState `json:"state"`
	Rev       int          `json:"rev"`
	Template  string       `json:"template"`
	Workspace string       `json:"workspace"` // where its files are, in the terms of the runtime
	Runtime   string       `json:"runtime"`   // local, kube
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	Operation string       `json:"operation"` // that last changed it
	Budget    *Budget      `json:"budget,omitempty"`
	// Spec is what the project is to have, nil where it is older than this field.
	Spec *ProjectSpec `json:"spec,omitempty"`
	// Resources are what was made, or taken as it was, for the project: of one that is
	// older than this field there is only a workspace.
	Resources []Resource `json:"resources,omitempty"`

	// Pipeline is the newest one that the CI ran, nil where there was none. Its event tells
	// when it stands elsewhere.
	Pipeline *PipelineState `json:"pipeline,omitempty"`

	// Seq is the sequence of the last event in RDEV_EVENTS, set on reading.
	Seq uint64 `json:"seq,omitempty"`
}

// PipelineState is where a pipeline of a project stands.
type PipelineState struct {
	Number int64          `json:"number"`
	Status PipelineStatus `json:"status"`
	Event  string         `json:"event"` // push, manual, …
	Branch string         `json:"branch"`
	Commit string         `json:"commit"`
	URL    string         `json:"url"` // of its page in the CI
	At     time.Time      `json:"at"`  // when it was seen so
}

// Resource is a part of a project that is removed with it, unless it was there before.
type Resource struct {
	Name   string          `json:"name"`            // of the step that made it
	Needs  []string        `json:"needs,omitempty"` // resources that go after it
	Action ProvisionAction `json:"action"`
	What   string          `json:"what"` // in words, as "workspace of shop"
	// External are the names and ids that it has where it is.
	External map[string]string `json:"external,omitempty"`
}

// Resource is the resource of a name, nil where the project has none.
func (p Project) Resource(name string) *Resource {
	for i := range p.Resources {
		if p.Resources[i].Name == name {
			return &p.Resources[i]
		}
	}
	return nil
}

// NextProject is the project after an event of a type, made of what the writer
// proposes, or an error that wraps [ErrIllegal].
func NextProject(prev *Project, eventType string, proposed Project) (Project, error) {
	var from ProjectState
	next := proposed
	next.Rev, next.Seq = 1, 0
	if prev != nil {
		from, next.Rev = prev.State, prev.Rev+1
	}
	switch {
	case eventType == TypeProjectCreated && (from == "" || from == ProjectDeleted):
		next.State = ProjectReady
	case (eventType == TypeProjectBudgeted || eventType == TypeProjectChanged || eventType == TypeProjectPipeline) && from == ProjectReady:
		next.State = ProjectReady
	case eventType == TypeProjectAbandoned && (from == "" || from == ProjectDeleted):
		next.State = ProjectDeleting
	case eventType == TypeProjectRenewed && (from == ProjectReady || from == ProjectDeleting):
		next.State = from
	case eventType == TypeProjectRenewed && from == "" && (proposed.State == ProjectReady || proposed.State == ProjectDeleting):
		next.Rev = proposed.Rev + 1 // what the log forgot, a table remembers
	case eventType == TypeProjectDeleting && (from == ProjectReady || from == ProjectDeleting):
		next.State = ProjectDeleting
	case eventType == TypeProjectDeleted && from == ProjectDeleting:
		next.State = ProjectDeleted
	default:
		return Project{}, fmt.Errorf("%w: %s of a project that is %q", ErrIllegal, eventType, from)
	}
	return next, nil
}
