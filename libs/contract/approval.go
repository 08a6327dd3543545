package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ApprovalStart is the id of the approval that a command waits for before it
// starts. Those of an agent's tools have other ids.
const ApprovalStart = "start"

// ApprovalRequired is what Command.Approval says of a command that may not start
// before somebody has approved it.
const ApprovalRequired = "required"

// ApprovalState is where an approval stands.
type ApprovalState string

// The states of an approval. All but the first are for good.
const (
	ApprovalOpen      ApprovalState = "open"
	ApprovalApproved  ApprovalState = "approved"
	ApprovalDenied    ApprovalState = "denied"
	ApprovalWithdrawn ApprovalState = "withdrawn" // nobody needs it any more
)

// Valid tells whether s is one of the four.
func (s ApprovalState) Valid() bool {
	return s == ApprovalOpen || s == ApprovalApproved || s == ApprovalDenied || s == ApprovalWithdrawn
}

// ApprovalActor is who decided an approval that expired.
const ApprovalActor = "rdev"

// Approval is something that waits for somebody's decision, or did.
type Approval struct {
	ID    string        `json:"id"` // ApprovalStart, or the agent's own name for its request
	State ApprovalState `json:"state"`

	// Of a tool that an agent wants to use.
	Tool     string          `json:"tool,omitempty"`
	ToolKind string          `json:"tool_kind,omitempty"` // as of an AgentEvent
	ToolCall string          `json:"tool_call,omitempty"`
	Title    string          `json:"title,omitempty"`
	Input    json.RawMessage `json:"input,omitempty"` // while it is open, at most MaxApprovalInput bytes

	RequestedAt time.Time `json:"requested_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	// Default is what is decided when it expires: approved or denied.
	Default ApprovalState `json:"default"`

	DecidedAt *time.Time `json:"decided_at,omitempty"`
	DecidedBy string     `json:"decided_by,omitempty"` // key:<name>, or ApprovalActor
	Comment   string     `json:"comment,omitempty"`
	// Request names the request that decided it.
	Request string `json:"request,omitempty"`
}

// Limits of approvals.
const (
	MaxApprovalInput = 4 << 10
	// MaxOpenApprovals is how many an operation has open at a time; an agent's other
	// requests wait for theirs.
	MaxOpenApprovals = 16
	// keptApprovals is how many of those that are decided a snapshot keeps: an agent
	// may have to be told again. The log has all.
	keptApprovals = 32
	// approvalTimeout is after how long an approval is decided by itself, where its
	// command does not say.
	approvalTimeout = 24 * time.Hour
)

// NewApproval is an open approval of an operation, with the limits that its command
// sets.
func NewApproval(op Operation, id string, now time.Time) Approval {
	a := Approval{ID: id, State: ApprovalOpen, RequestedAt: now, Default: ApprovalDenied}
	timeout := approvalTimeout
	if cmd := op.Command; cmd != nil {
		timeout = cmp.Or(time.Duration(cmd.ApprovalTimeout), timeout)
		a.Default = cmp.Or(cmd.ApprovalDefault, a.Default)
	}
	a.ExpiresAt = now.Add(timeout)
	return a
}

// OperationApprovalRequested asks somebody for a decision.
type OperationApprovalRequested struct {
	Attempt  int // 0 for one before the start
	Approval Approval
}

// OperationApprovalDecided ends an open approval. State, By, Comment and Request
// are what the approval says after it.
type OperationApprovalDecided struct {
	Attempt  int // 0 for any
	Approval string
	State    ApprovalState
	By       string
	Comment  string
	Request  string
	At       time.Time
}

// Type implements Change.
func (OperationApprovalRequested) Type() string { return TypeApprovalRequested }

// Type implements Change.
func (OperationApprovalDecided) Type() string { return TypeApprovalDecided }

func (c OperationApprovalRequested) attempt() int { return c.Attempt }
func (c OperationApprovalDecided) attempt() int   { return c.Attempt }

// may tells whether an approval can be asked for: once, and not too many at a time.
func (c OperationApprovalRequested) may(now *Operation) error {
	if _, there := now.Approval(c.Approval.ID); there {
		return fmt.Errorf("%w: approval %s was requested before", ErrIllegal, c.Approval.ID)
	}
	if now.OpenApprovals() >= MaxOpenApprovals {
		return fmt.Errorf("%w: %d approvals are open already", ErrIllegal, MaxOpenApprovals)
	}
	return nil
}

// may tells whether an approval can be decided: one that is open.
func (c OperationApprovalDecided) may(now *Operation) error {
	a, there := now.Approval(c.Approval)
	switch {
	case !there:
		return fmt.Errorf("approval %s of operation %s: %w", c.Approval, now.ID, ErrNotFound)
	case a.State != ApprovalOpen:
		return fmt.Errorf("%w: approval %s is %s already", ErrIllegal, c.Approval, a.State)
	case c.State == ApprovalOpen:
		return fmt.Errorf("%w: a decision that leaves approval %s open", ErrIllegal, c.Approval)
	}
	return nil
}

func (c OperationApprovalRequested) apply(o *Operation) {
	c.Approval.State = ApprovalOpen
	if o.WaitsSince == nil && o.State == Running {
		o.WaitsSince = &c.Approval.RequestedAt
	}
	o.Approvals = append(slices.Clone(o.Approvals), c.Approval)
}

func (c OperationApprovalDecided) apply(o *Operation) {
	o.Approvals = slices.Clone(o.Approvals)
	for i := range o.Approvals {
		if a := &o.Approvals[i]; a.ID == c.Approval && a.State == ApprovalOpen {
			a.State, a.DecidedAt, a.DecidedBy, a.Comment, a.Request, a.Input = c.State, &c.At, c.By, c.Comment, c.Request, nil
		}
	}
	if c.Approval == ApprovalStart && c.State == ApprovalApproved {
		o.Held = false
	}
	o.settle(c.At)
}

// withdrawApprovals ends those that are open, with the operation.
func (o *Operation) withdrawApprovals(at time.Time) {
	if o.OpenApprovals() == 0 {
		return
	}
	o.Approvals = slices.Clone(o.Approvals)
	for i := range o.Approvals {
		if a := &o.Approvals[i]; a.State == ApprovalOpen {
			a.State, a.DecidedAt, a.Input = ApprovalWithdrawn, &at, nil
		}
	}
	o.settle(at)
}

// settle ends the wait where nothing is open any more, and forgets the oldest of
// what is decided.
func (o *Operation) settle(at time.Time) {
	if o.WaitsSince != nil && o.OpenApprovals() == 0 {
		o.Waited += Duration(max(0, at.Sub(*o.WaitsSince)))
		o.WaitsSince = nil
	}
	for surplus := len(o.Approvals) - keptApprovals; surplus > 0; surplus-- {
		oldest := slices.IndexFunc(o.Approvals, func(a Approval) bool { return a.State != ApprovalOpen })
		if oldest < 0 {
			return
		}
		o.Approvals = slices.Delete(o.Approvals, oldest, oldest+1)
	}
}

// OpenApprovals is how many wait for a decision.
func (o *Operation) OpenApprovals() (n int) {
	for _, a := range o.Approvals {
		if a.State == ApprovalOpen {
			n++
		}
	}
	return n
}

// Approval finds an approval by its id, or false.
func (o *Operation) Approval(id string) (Approval, bool) {
	at := slices.IndexFunc(o.Approvals, func(a Approval) bool { return a.ID == id })
	if at < 0 {
		return Approval{}, false
	}
	return o.Approvals[at], true
}

// Waits tells whether it waits for somebody's decision.
func (o *Operation) Waits() bool { return o.OpenApprovals() > 0 }
