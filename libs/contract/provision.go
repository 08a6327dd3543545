package contract

import (
	"fmt"
	"slices"
	"time"
)

// TypeProvisioned is the event of an operation on a project whose steps have come further.
const TypeProvisioned = "provisioned"

// ProvisionStep is a part of a project that is made, or removed again, by itself: its
// workspace, its database. What is to be done is planned before anything is, so that it is
// known what was there before.
//
//	planned ──made, or taken as it is──▶ applied
//	   │                                    │
//	   └──removed, or the rest failed───────┴──▶ undone | left
type ProvisionStep struct {
	Name  string   `json:"name"`
	Needs []string `json:"needs,omitempty"` // steps that come before it
	// Action is what is to be done.
	Action ProvisionAction `json:"action"`
	// What says in words what it is about, as "workspace /srv/shop".
	What string `json:"what"`
	// Differences are why it is to be made again, in words.
	Differences []string       `json:"differences,omitempty"`
	State       ProvisionState `json:"state"`
	// External are the names and ids that it has where it is, once it is applied.
	External map[string]string `json:"external,omitempty"`
	// Failure is why it was not applied, or why it is left.
	Failure *Failure  `json:"failure,omitempty"`
	At      time.Time `json:"at"` // when it came to its state
}

// ProvisionAction is what a step has to do.
type ProvisionAction string

// The actions.
const (
	ProvisionCreate ProvisionAction = "create"
	ProvisionAdopt  ProvisionAction = "adopt" // it was there before, and stays whatever becomes of the rest
	ProvisionWrite  ProvisionAction = "write" // into another step's, with which it goes
	// ProvisionUpdate and ProvisionRotate are of what the project has: it is made again as
	// it is to be, or gets another secret, and stays whatever becomes of the rest.
	ProvisionUpdate ProvisionAction = "update"
	ProvisionRotate ProvisionAction = "rotate"
	ProvisionRemove ProvisionAction = "remove"
	ProvisionKeep   ProvisionAction = "keep" // it stays, and is the project's no more
)

// Ends tells whether it ends a part of the project.
func (a ProvisionAction) Ends() bool { return a == ProvisionRemove || a == ProvisionKeep }

// ProvisionState is where a step stands.
type ProvisionState string

// The states of a step.
const (
	ProvisionPlanned ProvisionState = "planned"
	ProvisionApplied ProvisionState = "applied"
	ProvisionUndone  ProvisionState = "undone" // nothing of it is left that was not there before
	ProvisionLeft    ProvisionState = "left"   // something may be, and could not be removed
)

// OperationProvisioned says how far the steps of attempt Attempt are. The first one is the
// plan.
type OperationProvisioned struct {
	Attempt int
	Steps   []ProvisionStep
	// Undo is why all that was made is to be removed again, nil where it is not.
	Undo *Failure
}

// Type implements Change.
func (OperationProvisioned) Type() string { return TypeProvisioned }

func (c OperationProvisioned) attempt() int { return c.Attempt }

func (c OperationProvisioned) may(o *Operation) error {
	if o.Undo != nil && c.Undo == nil {
		return fmt.Errorf("%w: %s goes on with what is to be undone", ErrIllegal, TypeProvisioned)
	}
	return nil
}

func (c OperationProvisioned) apply(o *Operation) {
	o.Provisioning, o.Undo = slices.Clone(c.Steps), c.Undo
}
