package contract

import (
	"errors"
	"fmt"
	"time"
)

// State is where an operation stands in its life.
//
//	             cancelled
//	   ┌───────────────────────────────────────┐
//	pending ──running(1)──▶ running ──completed | failed | cancelled──▶ ended
//	   └──failed              │  ▲
//	      never started       │  └─ running(n+1)       another executor takes over
//	                          └──── cancel_requested, progressed   still running
//
// Of work, retrying leads from running back to pending: that try failed, and another
// one follows. A build goes on by stepped, which starts it, too. approval_requested and approval_decided change no state: a pending operation
// that is held may not run before it was approved.
type State string

// The states of an operation.
const (
	Pending   State = "pending"
	Running   State = "running"
	Completed State = "completed" // it did what was asked
	Failed    State = "failed"    // it did not, or nobody can tell
	Cancelled State = "cancelled" // it was stopped, or never wanted
)

// Ended tells whether nothing can follow.
func (s State) Ended() bool { return s == Completed || s == Failed || s == Cancelled }

// Valid tells whether s is one of the five states.
func (s State) Valid() bool { return s == Pending || s == Running || s.Ended() }

// Types of the events of an operation.
const (
	TypePending           = "pending"
	TypeRunning           = "running"
	TypeProgressed        = "progressed"
	TypeApprovalRequested = "approval_requested"
	TypeApprovalDecided   = "approval_decided"
	TypeCancelRequested   = "cancel_requested"
	TypeCompleted         = "completed"
	TypeFailed            = "failed"
	TypeCancelled         = "cancelled"
)

// Operation is one piece of work asked of rdev. Every event about it carries
// all of it, as it is after the event.
type Operation struct {
	ID      string `json:"id"`      // UUID, lower case
	Kind    string `json:"kind"`    // command.shell, command.git, command.agent, project.create, project.delete, work.build, build.run, …
	Project string `json:"project"` // slug
	State   State  `json:"state"`
	Rev     int    `json:"rev"`           // number of events so far, from 1
	Attempt int    `json:"attempt"`       // 0 until it first runs
	Actor   string `json:"actor"`         // who asked, key:<name>
	Key     string `json:"key,omitempty"` // id of the API key that asked

	CreatedAt  time.Time  `json:"created_at"`
	StartedAt  *time.Time `json:"started_at"`           // of the first attempt
	AttemptAt  *time.Time `json:"attempt_at,omitempty"` // when this try at work began
	FinishedAt *time.Time `json:"finished_at"`

	ExitCode        *int     `json:"exit_code"` // of the command; null where there was none or it is unknown
	CancelRequested bool     `json:"cancel_requested"`
	CancelCause     *Failure `json:"cancel_cause,omitempty"` // why, where it was no wish but a limit
	Failure         *Failure `json:"failure"`
	Result          *Result  `json:"result"` // of one that runs: what it has used so far

	// Held is true of a pending operation that may not run before it was approved.
	Held      bool       `json:"held,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`
	// WaitsSince is since when a running operation waits for approvals, and Waited
	// for how long it has before: no limit of time counts that.
	WaitsSince *time.Time `json:"waits_since,omitempty"`
	Waited     Duration   `json:"waited,omitzero"`

	Lane     Lane           `json:"lane"`
	Executor string         `json:"executor,omitempty"` // instance of the current attempt
	Command  *Command       `json:"command,omitempty"`  // for command.* and work.*
	Work     *Work          `json:"work,omitempty"`     // for work.*
	Build    *Build         `json:"build,omitempty"`    // for build.run
	Spec     *ProjectSpec   `json:"spec,omitempty"`     // for project.*
	Change   *ProjectChange `json:"change,omitempty"`   // for project.change and project.delete

	// Provisioning are the steps of project.*, once they are planned, and Undo why all
	// that was made is removed again.
	Provisioning []ProvisionStep `json:"provisioning,omitempty"`
	Undo         *Failure        `json:"undo,omitempty"`

	// Traceparent is the W3C trace context of the request, "" where it had none:
	// every event about the operation carries it, and the command's environment.
	Traceparent string `json:"traceparent,omitempty"`
	// RequestHash tells a repeated request from another with the same key.
	RequestHash string `json:"request_hash,omitempty"`

	// Seq is the sequence of the last event in RDEV_EVENTS: set on reading, the
	// guard of the next event, and never part of a stored body.
	Seq uint64 `json:"seq,omitempty"`
}

// ValidOperationID tells whether an operation may have this id: whatever fits
// into a subject and a URL as it is. rdev's own are UUIDs.
func ValidOperationID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 128
}

// Failure says why an operation failed.
type Failure struct {
	Class     FailureClass `json:"class"`
	Message   string       `json:"message"`
	Retryable bool         `json:"retryable"` // whether the same again may go well
}

// FailureClass groups failures by who can mend them.
type FailureClass string

// The classes of failures.
const (
	ClassAuth           FailureClass = "auth"           // a key was refused
	ClassRateLimit      FailureClass = "rate_limit"     // a provider asked for less
	ClassInfrastructure FailureClass = "infrastructure" // rdev or what it stands on
	ClassBudget         FailureClass = "budget"         // turns, tokens or money used up
	ClassTimeout        FailureClass = "timeout"        // wall clock or silence
	ClassAgent          FailureClass = "agent"          // the agent gave up or broke
	ClassUser           FailureClass = "user"           // the command itself: it exited non-zero
	ClassUnknown        FailureClass = "unknown"
)

// NewFailure makes a failure whose class says whether a retry is safe and may help.
func NewFailure(class FailureClass, format string, args ...any) *Failure {
	return &Failure{
		Class:     class,
		Message:   fmt.Sprintf(format, args...),
		Retryable: class == ClassRateLimit || class == ClassInfrastructure,
	}
}

// Result is what an operation answers; which fields are set depends on its kind.
type Result struct {
	Text       string `json:"text,omitempty"`        // agent: its last words
	Session    string `json:"session,omitempty"`     // agent: to resume it
	StopReason string `json:"stop_reason,omitempty"` // agent: end_turn, max_tokens, …
	Turns      int    `json:"turns,omitempty"`       // agent
	Usage      *Usage `json:"usage,omitempty"`       // agent
	Commit     string `json:"commit,omitempty"`      // git: HEAD after the verb
	Branch     string `json:"branch,omitempty"`      // git
	Leftovers  int    `json:"leftovers,omitempty"`   // processes that outlived the command and were killed
	// Artifacts are what was kept of work that went well, by path.
	Artifacts []Artifact `json:"artifacts,omitempty"`
	// OutputCut is true where the command printed more than is kept.
	OutputCut bool `json:"output_cut,omitempty"`
}

// Errors of the state machine.
var (
	// ErrIllegal is wrapped where an event may not follow the snapshot.
	ErrIllegal = errors.New("illegal transition")
	// ErrFenced is returned to the writer of an attempt that another has replaced.
	ErrFenced = errors.New("the operation was taken over by a newer attempt")
	// ErrTooLarge is returned for an event that is larger than the log takes one.
	ErrTooLarge = errors.New("more than an event may hold")
	// ErrNotFound is returned for an entity without events.
	ErrNotFound = errors.New("not found")
)

// Change is an event of an operation before it is written.
type Change interface {
	// Type is the event's type, a token of its subject.
	Type() string
	// apply sets what the event sets; Next has checked that it may follow.
	apply(*Operation)
	// attempt is the one that the event belongs to, 0 for any.
	attempt() int
}

// OperationPending accepts an operation: the first event.
type OperationPending struct{ Operation Operation }

// OperationRunning starts attempt Attempt; the first is 1. Worker is where, of work.
type OperationRunning struct {
	Attempt  int
	Executor string
	Worker   string
	At       time.Time
}

// OperationCancelRequested asks the executor to stop. Cause is why, where that is
// nobody's wish but a limit: the operation then fails with it.
type OperationCancelRequested struct{ Cause *Failure }

// OperationCompleted ends attempt Attempt well.
type OperationCompleted struct {
	Attempt  int
	ExitCode *int
	Result   *Result
	At       time.Time
}

// OperationFailed ends attempt Attempt, or with Attempt 0 whichever it is.
type OperationFailed struct {
	Attempt  int
	ExitCode *int
	Failure  *Failure
	Result   *Result
	At       time.Time
}

// OperationCancelled ends attempt Attempt, or with Attempt 0 whichever it is.
type OperationCancelled struct {
	Attempt  int
	ExitCode *int
	Result   *Result
	At       time.Time
}

// Type implements Change.
func (OperationPending) Type() string         { return TypePending }
func (OperationRunning) Type() string         { return TypeRunning }
func (OperationCancelRequested) Type() string { return TypeCancelRequested }
func (OperationCompleted) Type() string       { return TypeCompleted }
func (OperationFailed) Type() string          { return TypeFailed }
func (OperationCancelled) Type() string       { return TypeCancelled }

func (OperationPending) attempt() int         { return 0 }
func (c OperationRunning) attempt() int       { return c.Attempt }
func (OperationCancelRequested) attempt() int { return 0 }
func (c OperationCompleted) attempt() int     { return c.Attempt }
func (c OperationFailed) attempt() int        { return c.Attempt }
func (c OperationCancelled) attempt() int     { return c.Attempt }

func (c OperationPending) apply(o *Operation) {
	*o = c.Operation
	o.Rev, o.State, o.Attempt, o.Seq = 0, Pending, 0, 0
	o.Held = o.Command != nil && o.Command.Approval == ApprovalRequired
}

func (c OperationRunning) apply(o *Operation) {
	o.State, o.Attempt, o.Executor = Running, c.Attempt, c.Executor
	if o.StartedAt == nil {
		o.StartedAt = &c.At
	}
	if o.Work == nil {
		return
	}
	o.Lane.Key = c.Worker
	if o.AttemptAt == nil { // else another executor goes on with the same try
		o.AttemptAt, o.Result, o.Waited = &c.At, nil, 0
	}
}

func (c OperationCancelRequested) apply(o *Operation) {
	o.CancelRequested, o.CancelCause = true, c.Cause
}

func (c OperationCompleted) apply(o *Operation) {
	o.end(Completed, c.ExitCode, c.Result, c.At)
}

func (c OperationFailed) apply(o *Operation) {
	o.end(Failed, c.ExitCode, c.Result, c.At)
	o.Failure = c.Failure
}

func (c OperationCancelled) apply(o *Operation) {
	o.end(Cancelled, c.ExitCode, c.Result, c.At)
}

// end sets what all ends set. A writer that knows no result leaves what the
// attempt told of its progress.
func (o *Operation) end(state State, exitCode *int, result *Result, at time.Time) {
	o.State, o.ExitCode, o.FinishedAt, o.Held = state, exitCode, &at, false
	if result != nil {
		o.Result = result
	}
	o.withdrawApprovals(at)
}

// Next is the operation after the change, or an error that wraps [ErrIllegal]
// or [ErrFenced]. prev is nil for an operation that does not exist yet. It is
// the one place that knows what may follow what.
func Next(prev *Operation, change Change) (Operation, error) {
	if err := legal(prev, change.Type(), change.attempt()); err != nil {
		return Operation{}, err
	}
	if approval, ok := change.(interface{ may(now *Operation) error }); ok {
		if err := approval.may(prev); err != nil {
			return Operation{}, err
		}
	}
	var next Operation
	if prev != nil {
		next = *prev
	}
	change.apply(&next)
	next.Rev++
	next.Seq = 0
	return next, nil
}

// Fold is the operation after a stored event, as readers see it: snapshot where
// it may follow prev, and otherwise prev and the reason why it is ignored. A
// log can hold what an administrator published without a guard; every reader
// ignores the same.
func Fold(prev *Operation, eventType string, snapshot Operation) (Operation, error) {
	var before Operation
	if prev != nil {
		before = *prev
	}
	attempt, state := before.Attempt, State(eventType)
	switch eventType {
	case TypeRunning:
		attempt++
	case TypeCancelRequested, TypeProgressed, TypeProvisioned:
		state = Running
	case TypeStepped:
		state, attempt = Running, 1
	case TypeRetrying:
		state = Pending
	case TypeApprovalRequested, TypeApprovalDecided:
		state = before.State
	}
	if err := legal(prev, eventType, attempt); err != nil {
		return before, err
	}
	if snapshot.State != state || snapshot.Rev != before.Rev+1 || snapshot.Attempt != attempt {
		return before, fmt.Errorf("%w: %s at revision %d, attempt %d carries a snapshot %q, revision %d, attempt %d",
			ErrIllegal, eventType, before.Rev+1, attempt, snapshot.State, snapshot.Rev, snapshot.Attempt)
	}
	return snapshot, nil
}

// legal decides whether an event of a type may follow prev. attempt 0 belongs
// to whichever attempt there is.
func legal(prev *Operation, eventType string, attempt int) error {
	if prev == nil {
		if eventType == TypePending {
			return nil
		}
		return fmt.Errorf("%w: %s of an operation that does not exist", ErrIllegal, eventType)
	}
	illegal := fmt.Errorf("%w: %s after %s", ErrIllegal, eventType, prev.State)
	if prev.State.Ended() {
		return illegal
	}
	switch eventType {
	case TypeRunning:
		if attempt <= prev.Attempt {
			return fmt.Errorf("%w: attempt %d where %d runs", ErrFenced, attempt, prev.Attempt)
		}
		if attempt != prev.Attempt+1 || prev.Kind == KindBuild {
			return illegal
		}
		if prev.Held {
			return fmt.Errorf("%w: %s of an operation that was not approved", ErrIllegal, eventType)
		}
		return nil
	case TypeCancelRequested:
		if prev.State != Running || prev.CancelRequested {
			return illegal
		}
		return nil
	case TypeCompleted, TypeProgressed:
		if prev.State != Running {
			return illegal
		}
	case TypeProvisioned:
		if prev.State != Running || !IsProject(prev.Kind) {
			return illegal
		}
	case TypeRetrying:
		if prev.State != Running || !IsWork(prev.Kind) || prev.CancelRequested {
			return illegal
		}
	case TypeStepped:
		if prev.Kind != KindBuild {
			return illegal
		}
		return nil
	case TypeApprovalRequested, TypeApprovalDecided:
		if prev.State == Pending && !prev.Held {
			return illegal
		}
	case TypeFailed, TypeCancelled:
	default:
		return illegal
	}
	if attempt != 0 && attempt != prev.Attempt {
		return fmt.Errorf("%w: attempt %d where %d runs", ErrFenced, attempt, prev.Attempt)
	}
	return nil
}
