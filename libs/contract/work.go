package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of work: pieces that any free worker may carry out.
const (
	KindWorkBuild  = "work.build"
	KindWorkTest   = "work.test"
	KindWorkDeploy = "work.deploy"
	KindWorkCustom = "work.custom"
)

// WorkPrefix begins the kinds of work, and no other.
const WorkPrefix = "work."

// WorkKinds are what work may be for, without the prefix.
func WorkKinds() []string { return []string{"build", "test", "deploy", "custom"} }

// IsWork tells whether an operation of a kind waits for a worker.
func IsWork(kind string) bool { return strings.HasPrefix(kind, WorkPrefix) }

// TypeRetrying is the event of work that failed and waits for another try.
const TypeRetrying = "retrying"

// Work is what an operation of the work queue is, beside its command.
type Work struct {
	// Repository is what the workspace holds when the command starts; without one it is
	// empty.
	Repository *Repository `json:"repository,omitempty"`
	Priority   Priority    `json:"priority"`
	// RunAt is before which it does not start: as it was asked for, and after a try that
	// failed when the next one is due.
	RunAt *time.Time `json:"run_at,omitempty"`
	// Delay is how long after it was accepted it was asked to start, at the least.
	Delay Duration `json:"delay,omitzero"`
	// MaxAttempts is how often it is tried where it fails. A worker that was lost, and a
	// provider that asked for less, are no fault of the work's: for those it is at least
	// LostTries.
	MaxAttempts int `json:"max_attempts"`
	// Backoff is the pause before the second try; each one after it doubles that, up to
	// MaxBackoff.
	Backoff Duration          `json:"backoff"`
	Labels  map[string]string `json:"labels,omitempty"`
	// UniqueKey names the work within its project: asked for again before it has ended,
	// it is the same. Turn counts the work of that name, and Request names the request
	// that made it.
	UniqueKey string `json:"unique_key,omitempty"`
	Turn      int    `json:"turn,omitempty"`
	Request   string `json:"request,omitempty"`
	// Step is of which build it is a step, nil where it is of none.
	Step *StepOf `json:"step,omitempty"`
	// Files are what it finds, and leaves.
	Files    Files     `json:"files,omitzero"`
	Services []Service `json:"services,omitempty"`
	// RetryOf is the operation whose work this is once more.
	RetryOf string `json:"retry_of,omitempty"`
	// Tries are those before, the oldest first.
	Tries []Try `json:"tries,omitempty"`
}

// Bounds of work.
const (
	LostTries      = 3
	MostAttempts   = 20
	MaxBackoff     = time.Hour
	DefaultBackoff = 10 * time.Second
)

// Repository is a Git repository at a ref.
type Repository struct {
	URL string `json:"url,omitempty"` // https, ssh or file; the project's own where a request has none
	Ref string `json:"ref,omitempty"` // branch, tag or commit; the remote's HEAD where empty
}

// Priority is which work comes first: all of a higher one before any of a lower one.
type Priority string

// The priorities.
const (
	PriorityHigh   Priority = "high"
	PriorityNormal Priority = "normal"
	PriorityLow    Priority = "low"
)

// Try is an attempt that failed and was followed by another.
type Try struct {
	Attempt    int       `json:"attempt"`
	Worker     string    `json:"worker"`
	Executor   string    `json:"executor"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	ExitCode   *int      `json:"exit_code"`
	Failure    *Failure  `json:"failure"`
	Usage      *Usage    `json:"usage,omitempty"` // what its agent told
}

// RetryAfter is how long after a failure the work is tried again, or false where it is
// given up.
func (w *Work) RetryAfter(failure *Failure) (pause time.Duration, again bool) {
	if failure.Class == ClassAuth || failure.Class == ClassBudget {
		return 0, false // the next try would end the same
	}
	most := w.MaxAttempts
	if failure.Retryable {
		most = max(most, LostTries)
	}
	tried := len(w.Tries) + 1
	if tried >= most {
		return 0, false
	}
	pause = time.Duration(w.Backoff)
	for range tried - 1 {
		pause = min(2*pause, MaxBackoff)
	}
	return pause, true
}

// OperationRetrying ends attempt Attempt and has the work wait for another try, not
// before RunAt.
type OperationRetrying struct {
	Attempt  int
	ExitCode *int
	Failure  *Failure
	Result   *Result
	At       time.Time
	RunAt    time.Time
}

// Type implements Change.
func (OperationRetrying) Type() string { return TypeRetrying }

func (c OperationRetrying) attempt() int { return c.Attempt }

func (c OperationRetrying) apply(o *Operation) {
	var work Work
	if o.Work != nil {
		work = *o.Work
	}
	if c.Result != nil {
		o.Result = c.Result
	}
	try := Try{
		Attempt: c.Attempt, Worker: o.Lane.Key, Executor: o.Executor, StartedAt: c.At, FinishedAt: c.At, ExitCode: c.ExitCode, Failure: c.Failure,
	}
	if o.AttemptAt != nil {
		try.StartedAt = *o.AttemptAt
	}
	if o.Result != nil {
		try.Usage = o.Result.Usage
	}
	work.Tries = append(slices.Clip(work.Tries), try)
	work.RunAt = &c.RunAt
	o.Work = &work
	o.State, o.Executor, o.AttemptAt, o.Lane.Key = Pending, "", nil, ""
	o.withdrawApprovals(c.At)
}

// WorkLane is the lane of work that no worker has: whichever is free takes it.
func WorkLane() Lane { return Lane{Service: ServiceExecutor, Name: "worker"} }

// WorkerLane carries the work of one worker.
func WorkerLane(worker string) Lane {
	lane := WorkLane()
	lane.Key = worker
	return lane
}

// Worker is who carries the work out, "" where nobody does or the operation is none.
func (o *Operation) Worker() string {
	if o.Work == nil {
		return ""
	}
	return o.Lane.Key
}

// TriedUpTo is the last attempt of the tries before this one, 0 where this is the first.
// Attempts after it belong to one try, and follow one run.
func (o *Operation) TriedUpTo() int {
	if o.Work == nil || len(o.Work.Tries) == 0 {
		return 0
	}
	return o.Work.Tries[len(o.Work.Tries)-1].Attempt
}

// WorkFor tells whether a worker may carry the work out at a time: it waits, and is
// due, or runs there.
func (o *Operation) WorkFor(worker string, now time.Time) bool {
	switch {
	case worker == "" || o.Held:
		return false
	case o.State == Running:
		return o.Lane.Key == worker
	}
	return o.State == Pending && (o.Work.RunAt == nil || !o.Work.RunAt.After(now.Add(clockSkew)))
}

// clockSkew is how far the clocks of two machines may be apart.
const clockSkew = 2 * time.Second

// EntityWorker is the entity of workers.
const EntityWorker = "worker"

// WorkerState is whether a worker takes work.
type WorkerState string

// The states of a worker.
const (
	WorkerReady    WorkerState = "ready"
	WorkerDraining WorkerState = "draining" // it ends what it does, and takes nothing more
	WorkerGone     WorkerState = "gone"
)

// Types of the events of a worker; renewed is for the log's sake.
const (
	TypeWorkerReady    = "ready"
	TypeWorkerDraining = "draining"
	TypeWorkerGone     = "gone"
)

// Worker is a place where work of any project is carried out, one piece at a time.
type Worker struct {
	ID    string      `json:"id"` // a token of a subject
	State WorkerState `json:"state"`
	Rev   int         `json:"rev"`
	// Workspace is the directory that holds the files of the work while it runs, in the
	// terms of the runtime.
	Workspace string    `json:"workspace"`
	Runtime   string    `json:"runtime"` // kube, local
	CreatedAt time.Time `json:"created_at"`

	// Seq is the sequence of the last event in RDEV_EVENTS: set on reading.
	Seq uint64 `json:"seq,omitempty"`
}

// NextWorker is the worker after an event of a type, made of what the writer proposes.
// One that is gone may be ready again.
func NextWorker(prev *Worker, eventType string, proposed Worker) (Worker, error) {
	next := proposed
	next.Seq, next.Rev = 0, 1
	if prev != nil {
		next.Rev = prev.Rev + 1
	}
	next.State = WorkerState(eventType)
	switch {
	case !ValidOperationID(next.ID):
		return Worker{}, fmt.Errorf("%w: a worker cannot be called %q", ErrIllegal, next.ID)
	case eventType != TypeWorkerReady && eventType != TypeWorkerDraining && eventType != TypeWorkerGone,
		prev == nil && eventType != TypeWorkerReady,
		prev != nil && prev.State == WorkerGone && eventType != TypeWorkerReady:
		return Worker{}, fmt.Errorf("%w: %s of worker %s", ErrIllegal, eventType, next.ID)
	}
	return next, nil
}

// VerbWorkLoad is a verb that the gateway answers: struct{} → WorkLoad, or UNAVAILABLE
// where it has not read all of the log yet.
const VerbWorkLoad = "work_load"

// WorkLoad is what the work queue asks of its workers.
type WorkLoad struct {
	Queued int `json:"queued"` // could start, were there another worker
	// OldestAge is how long the work has waited that has waited longest.
	OldestAge Duration     `json:"oldest_age"`
	Workers   []WorkerLoad `json:"workers"` // that are ready or drain, or still carry something out
}

// WorkerLoad is a worker, and what it does.
type WorkerLoad struct {
	Worker
	// Operation is what it carries out or is offered, "" where it waits.
	Operation string `json:"operation,omitempty"`
	// Tasks is how often it began one.
	Tasks int `json:"tasks"`
}
