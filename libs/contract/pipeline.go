package contract

import "time"

// Verbs of the CI, which the provisioner answers; the comments name request and reply.
// Each is NOT_FOUND where there is no such project, or it has no CI, or no such pipeline,
// and UNAVAILABLE where the installation has none, or the CI does not do its part.
const (
	VerbListPipelines  = "list_pipelines"  // ListPipelines → PipelineList
	VerbGetPipeline    = "get_pipeline"    // GetPipeline → Pipeline
	VerbRunPipeline    = "run_pipeline"    // RunPipeline → PipelineStarted, or CONFLICT
	VerbRerunPipeline  = "rerun_pipeline"  // GetPipeline → Pipeline, a new one
	VerbCancelPipeline = "cancel_pipeline" // GetPipeline → Pipeline, or CONFLICT where it has ended
	VerbPipelineLogs   = "pipeline_logs"   // GetPipelineLogs → PipelineLogs
)

// PipelineStatus is where a pipeline of the CI, a workflow of it, or a step of that stands,
// in the words of the CI.
//
//	created ──▶ pending ──▶ running ──▶ success | failure | killed | error
//	   │           └─cancel─▶ canceled
//	   └──▶ blocked ──▶ pending | declined
type PipelineStatus string

// The statuses. There may be others, of a newer CI.
const (
	PipelineCreated  PipelineStatus = "created"
	PipelinePending  PipelineStatus = "pending" // it waits for an agent
	PipelineRunning  PipelineStatus = "running"
	PipelineBlocked  PipelineStatus = "blocked"  // it waits for an approval in the CI
	PipelineDeclined PipelineStatus = "declined" // which it did not get
	PipelineSuccess  PipelineStatus = "success"
	PipelineFailure  PipelineStatus = "failure"
	PipelineKilled   PipelineStatus = "killed"   // it was cancelled while it ran
	PipelineCanceled PipelineStatus = "canceled" // it was cancelled before it ran
	PipelineError    PipelineStatus = "error"    // what it is made of is wrong: see Errors
	PipelineSkipped  PipelineStatus = "skipped"
)

// Ended tells whether nothing can follow.
func (s PipelineStatus) Ended() bool {
	switch s {
	case PipelineSuccess, PipelineFailure, PipelineKilled, PipelineCanceled, PipelineError, PipelineDeclined, PipelineSkipped:
		return true
	case PipelineCreated, PipelinePending, PipelineRunning, PipelineBlocked:
	}
	return false
}

// Stopped tells whether it has ended because somebody wanted that.
func (s PipelineStatus) Stopped() bool { return s == PipelineKilled || s == PipelineCanceled }

// Pipeline is one of a project's repository, as the CI tells of it.
type Pipeline struct {
	Number  int64          `json:"number"` // of the repository, from 1
	Status  PipelineStatus `json:"status"`
	Event   string         `json:"event"` // push, pull_request, tag, manual, cron, deployment, …
	Branch  string         `json:"branch"`
	Ref     string         `json:"ref,omitempty"` // refs/heads/main
	Commit  string         `json:"commit"`
	Message string         `json:"message"` // of the commit; in lists its first line
	Author  string         `json:"author"`
	URL     string         `json:"url"` // of its page in the CI

	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`

	// Errors and Workflows are in no list.
	Errors    []PipelineProblem  `json:"errors,omitempty"`
	Workflows []PipelineWorkflow `json:"workflows,omitempty"`
}

// PipelineProblem is what is wrong with the files that a pipeline is made of.
type PipelineProblem struct {
	Message string `json:"message"`
	Warning bool   `json:"warning,omitempty"` // it runs all the same
}

// PipelineWorkflow is a part of a pipeline that runs on one agent.
type PipelineWorkflow struct {
	Name   string         `json:"name"`
	Status PipelineStatus `json:"status"`
	Steps  []PipelineStep `json:"steps"`
}

// PipelineStep is a step of a workflow.
type PipelineStep struct {
	ID       int64          `json:"id"` // by which its logs are asked for
	Name     string         `json:"name"`
	Type     string         `json:"type,omitempty"` // commands, plugin, service, clone, cache
	Status   PipelineStatus `json:"status"`
	ExitCode int            `json:"exit_code"` // 0 as long as it has not ended
}

// ListPipelines asks for the pipelines of a project, the newest first.
type ListPipelines struct {
	Project string `json:"project"`
	Limit   int    `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor  string `json:"cursor,omitempty"` // NextCursor of the page before
}

// PipelineList is a page of pipelines.
type PipelineList struct {
	Pipelines  []Pipeline `json:"pipelines"`
	NextCursor *string    `json:"next_cursor"` // null on the last page
}

// GetPipeline names a pipeline.
type GetPipeline struct {
	Project string `json:"project"`
	Number  int64  `json:"number"`
}

// RunPipeline starts a pipeline of a branch, with the event manual.
type RunPipeline struct {
	Project string `json:"project"`
	Branch  string `json:"branch,omitempty"` // that of the repository where ""
	// Variables are in the environment of its steps.
	Variables map[string]string `json:"variables,omitempty"`
	// Request is the same each time that the same request comes, "" where each is
	// another. The pipeline has it in the variable RDEV_REQUEST.
	Request string `json:"request,omitempty"`
}

// PipelineStarted is what RunPipeline has started.
type PipelineStarted struct {
	Pipeline Pipeline `json:"pipeline"`
	Replayed bool     `json:"replayed"` // the same request had started it before
}

// GetPipelineLogs asks for what a step of a pipeline has said.
type GetPipelineLogs struct {
	Project string `json:"project"`
	Number  int64  `json:"number"`
	Step    int64  `json:"step"`             // id
	Cursor  string `json:"cursor,omitempty"` // NextCursor of the page before
}

// PipelineLogs is a page of what a step has said so far.
type PipelineLogs struct {
	Lines      []string `json:"lines"`       // without their ends
	NextCursor *string  `json:"next_cursor"` // null on the last page
}
