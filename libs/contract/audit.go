package contract

import "time"

// ServiceAudit is the name under which the audit service answers requests.
const ServiceAudit = "audit"

// Verbs that the audit service answers; the comments name request and reply.
const (
	VerbListOperations     = "list"     // ListOperations → OperationList
	VerbGetOperation       = "get"      // GetOperation → Operation
	VerbOperationHistory   = "events"   // GetOperationHistory → OperationHistory
	VerbProjectionPosition = "position" // GetProjectionPosition → ProjectionPosition
	VerbRebuildProjection  = "rebuild"  // RebuildProjection → ProjectionPosition
)

// Sizes of a page of operations.
const (
	DefaultPage = 50
	MaxPage     = 200
)

// ListOperations asks for operations, the newest first. What is empty does not
// filter.
type ListOperations struct {
	State string `json:"state,omitempty"` // one state, or several separated by commas
	// Within are slugs, or patterns as "ci-*": nothing of other projects is listed,
	// unless there are none.
	Within  []string  `json:"within,omitempty"`
	Project string    `json:"project,omitempty"`
	Kind    string    `json:"kind,omitempty"`   // or how kinds begin, as "work.*"
	Since   time.Time `json:"since,omitzero"`   // created then or later
	Limit   int       `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor  string    `json:"cursor,omitempty"` // NextCursor of the page before
	// MinSeq waits until the list holds this event of RDEV_EVENTS, for two seconds.
	MinSeq uint64 `json:"min_seq,omitempty"`
}

// OperationList is a page of operations, each with Seq set. A page of large
// operations holds fewer than the limit; only NextCursor tells the end.
type OperationList struct {
	Operations []Operation `json:"operations"`
	NextCursor *string     `json:"next_cursor"` // null on the last page
	// ProjectedSeq is the last event that the list holds, at least.
	ProjectedSeq uint64 `json:"projected_seq"`
	Stale        bool   `json:"stale"` // MinSeq was not reached in time
}

// GetOperation asks for an operation, which may be older than the log.
type GetOperation struct {
	ID string `json:"id"`
}

// GetOperationHistory asks for the events of an operation after a sequence.
type GetOperationHistory struct {
	ID       string `json:"id"`
	AfterSeq uint64 `json:"after_seq,omitempty"`
}

// OperationHistory is what happened to an operation, in order.
type OperationHistory struct {
	Events []OperationEvent `json:"events"`
	// More tells that further events follow after the last one's sequence.
	More bool `json:"more,omitempty"`
}

// OperationEvent is one event of an operation.
type OperationEvent struct {
	Seq       uint64     `json:"seq"`
	Type      string     `json:"type"`
	Time      time.Time  `json:"time"`
	Actor     string     `json:"actor"`
	Operation *Operation `json:"operation"` // after the event; null where it cannot be decoded
	// Ignored marks an event that could not follow the one before: it is stored,
	// and changed nothing.
	Ignored bool `json:"ignored,omitempty"`
}

// GetProjectionPosition asks how much of the log the audit's tables hold.
type GetProjectionPosition struct{}

// RebuildProjection has the audit's tables emptied and filled from the log. It is
// refused with CONFLICT where the log does not reach back far enough any more.
type RebuildProjection struct{}

// ProjectionPosition is the sequence of the last event that the tables hold.
type ProjectionPosition struct {
	ProjectedSeq uint64 `json:"projected_seq"`
}
