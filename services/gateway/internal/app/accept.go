package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/contract"
)

// Errors of the ports.
var (
	// ErrExists is returned for an operation whose id is taken.
	ErrExists = errors.New("the operation exists already")
	// ErrLaneTaken is returned for a lane that holds a command.
	ErrLaneTaken = errors.New("the lane is taken")
)

// App carries out the gateway's use cases.
type App struct {
	Operations Operations
	Projects   Projects
	Workers    Workers
	Turns      Turns
	Queue      Queue
	Room       Room
	Budgets    *Budgets
}

// Asker is who asks, and the key that makes asking again harmless.
type Asker struct {
	Key            string // id of the API key
	Actor          string // key:<name>
	Traceparent    string // of the request, "" where it has none
	IdempotencyKey string // "" where the request is to be carried out each time it comes
	ID             string // of what is made, where that is not the request's
}

// Accepted is an operation that was accepted, now or before.
type Accepted struct {
	Operation contract.Operation
	Replayed  bool // it was accepted before, by the same request
	Over      bool // nothing is to come: what was asked for is done
}

// RunCommand accepts a command for a project.
func (a *App) RunCommand(ctx context.Context, asker Asker, project string, kind string, cmd contract.Command) (Accepted, error) {
	lane := contract.PodLane(project)
	return a.accept(ctx, asker, contract.Operation{
		Kind: kind, Project: project, Lane: lane, Command: &cmd,
	}, func(op *contract.Operation) error {
		if err := a.requireRoom(lane, project, ahead{}); err != nil {
			return err
		}
		return a.requireReady(ctx, op)
	})
}

// CreateProject accepts a new project.
func (a *App) CreateProject(ctx context.Context, asker Asker, spec contract.ProjectSpec) (Accepted, error) {
	lane := contract.ProjectLane(spec.Slug)
	return a.accept(ctx, asker, contract.Operation{
		Kind: contract.KindProjectCreate, Project: spec.Slug, Lane: lane, Spec: &spec,
	}, func(*contract.Operation) error {
		if err := a.requireRoom(lane, spec.Slug, ahead{}); err != nil {
			return err
		}
		project, err := a.Projects.Project(ctx, spec.Slug)
		if err == nil && project.State != contract.ProjectDeleted {
			return &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("project %s exists already", spec.Slug)}
		}
		if errors.Is(err, contract.ErrNotFound) {
			return nil
		}
		return err
	})
}

// ChangeProject accepts a change of what a project is to have.
func (a *App) ChangeProject(ctx context.Context, asker Asker, slug string, change contract.ProjectChange) (Accepted, error) {
	lane := contract.ProjectLane(slug)
	return a.accept(ctx, asker, contract.Operation{
		Kind: contract.KindProjectChange, Project: slug, Lane: lane, Change: &change,
	}, func(op *contract.Operation) error {
		if err := a.requireRoom(lane, slug, ahead{}); err != nil {
			return err
		}
		return a.requireReady(ctx, op)
	})
}

// RepairProject accepts a repair of a project that is there, or of which something is.
func (a *App) RepairProject(ctx context.Context, asker Asker, slug string) (Accepted, error) {
	lane := contract.ProjectLane(slug)
	return a.accept(ctx, asker, contract.Operation{
		Kind: contract.KindProjectRepair, Project: slug, Lane: lane,
	}, func(*contract.Operation) error {
		if err := a.requireRoom(lane, slug, ahead{}); err != nil {
			return err
		}
		_, err := a.Project(ctx, slug)
		return err
	})
}

// DeleteProject accepts the end of a project and all that is in it, but for what is to be
// kept, however much waits: it makes room.
func (a *App) DeleteProject(ctx context.Context, asker Asker, slug string, keep []string) (Accepted, error) {
	op := contract.Operation{
		Kind: contract.KindProjectDelete, Project: slug, Lane: contract.ProjectLane(slug),
		Spec: &contract.ProjectSpec{Slug: slug},
	}
	if len(keep) > 0 {
		op.Change = &contract.ProjectChange{Keep: keep}
	}
	return a.accept(ctx, asker, op, func(*contract.Operation) error {
		_, err := a.Project(ctx, slug)
		return err
	})
}

// Project reads a project that exists.
func (a *App) Project(ctx context.Context, slug string) (contract.Project, error) {
	project, err := a.Projects.Project(ctx, slug)
	if errors.Is(err, contract.ErrNotFound) || err == nil && project.State == contract.ProjectDeleted {
		return project, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project " + slug}
	}
	return project, err
}

// requireReady refuses a command whose project is not ready, or whose agent has no
// budget left. It makes the limits of an agent those that its budgets leave, and has what is
// for the project's own repository open that. That a project was deleted a moment ago is
// found by whoever carries the operation out.
func (a *App) requireReady(ctx context.Context, op *contract.Operation) error {
	return a.requireReadyAs(ctx, op, a.Project)
}

// requireReadyAs is requireReady by what is read of the project.
func (a *App) requireReadyAs(ctx context.Context, op *contract.Operation, read func(context.Context, string) (contract.Project, error)) error {
	withAgent, withRepository := op.Command != nil && op.Command.Agent != nil, mayBeOwn(*op)
	if !withAgent && !withRepository && a.Projects.ProjectWasReady(ctx, op.Project) {
		return nil
	}
	project, err := read(ctx, op.Project)
	switch {
	case err != nil:
		return err
	case project.State != contract.ProjectReady:
		return &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("project %s is %s", op.Project, project.State)}
	}
	if withRepository {
		if err := repositoryOf(project).fill(op); err != nil {
			return err
		}
	}
	if withAgent {
		command, agent := *op.Command, *op.Command.Agent // others may have them, too: as the build whose step it is
		command.Agent, op.Command = &agent, &command
		return a.Budgets.limit(&agent, project, op.Key)
	}
	return nil
}

// maxRequest is the most that a request may take in the log, as JSON, in bytes.
// Every event of the operation carries it, the last one beside the result.
const maxRequest = 320 << 10

// wish is an operation that somebody asks for. allowed may change it: what was asked for
// is told from other requests by what it was before.
type wish struct {
	asker   Asker
	op      contract.Operation
	allowed func(*contract.Operation) error
}

// accept appends the operation once allowed returns nil. A request that comes again with
// the same idempotency key meets the operation that it made, for as long as the log is
// kept, whichever gateway it comes to.
func (a *App) accept(ctx context.Context, asker Asker, op contract.Operation, allowed func(*contract.Operation) error) (Accepted, error) {
	all, errs := a.acceptAll(ctx, []*wish{{asker, op, allowed}})
	return all[0], errs[0]
}

// acceptAll is accept for many, in their order. Each has an outcome of its own; nil has
// none.
func (a *App) acceptAll(ctx context.Context, wishes []*wish) ([]Accepted, []error) {
	all, errs := make([]Accepted, len(wishes)), make([]error, len(wishes))
	var operations []contract.Operation
	var places []int // of the operations
	for i, wish := range wishes {
		if wish == nil {
			continue
		}
		if errs[i] = wish.prepare(); errs[i] != nil {
			continue
		}
		// What allowed the request before may be gone: the operation decides.
		if refused := wish.allowed(&wish.op); refused != nil {
			all[i], errs[i] = a.replay(ctx, wish.asker, wish.op, refused)
			continue
		}
		operations, places = append(operations, wish.op), append(places, i)
	}
	created, refused := a.Operations.CreateAll(ctx, operations)
	for n, i := range places {
		if refused[n] != nil {
			all[i], errs[i] = a.replay(ctx, wishes[i].asker, wishes[i].op, refused[n])
			continue
		}
		all[i].Operation = a.asked(ctx, created[n])
	}
	return all, errs
}

// prepare makes the operation what it is in the log.
func (w *wish) prepare() error {
	request, err := encodeRequest(w.op)
	if err != nil {
		return err
	}
	w.op.ID, w.op.Actor, w.op.RequestHash, w.op.CreatedAt = w.asker.RequestID(), w.asker.Actor, hashOf(request), time.Now().UTC()
	w.op.Traceparent, w.op.Key = w.asker.Traceparent, w.asker.Key
	return nil
}

// asked is a new operation once somebody was asked for its approval, where it needs
// one. A gateway that does not come to it leaves it to a keeper: the operation is
// accepted, and held.
func (a *App) asked(ctx context.Context, op contract.Operation) contract.Operation {
	if !op.Held {
		return op
	}
	if now, err := settle(ctx, a.Operations, op.ID, op.CreatedAt); err == nil {
		return now
	}
	return op
}

// replay is the operation that the same request made before; without one, or without an
// idempotency key, it is refused for the reason given.
func (a *App) replay(ctx context.Context, asker Asker, op contract.Operation, refused error) (Accepted, error) {
	if asker.IdempotencyKey == "" {
		return Accepted{}, refused
	}
	before, err := a.Operations.Load(ctx, op.ID)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return Accepted{}, refused
	case err != nil:
		return Accepted{}, err
	case before.RequestHash != op.RequestHash:
		return Accepted{}, &contract.Error{
			Code:   contract.CodeIdempotencyMismatch,
			Detail: fmt.Sprintf("Idempotency-Key %q was used for another request, which made operation %s", asker.IdempotencyKey, before.ID),
		}
	}
	return Accepted{Operation: before, Replayed: true}, nil
}

// namespace is of the ids that are made of idempotency keys.
const namespace = "6f7264e2-5d6b-5d35-9d0e-0b1f1d1c7a11"

// RequestID is the id of what a request makes: a new one, or with an idempotency key
// the same each time that the API key comes with it.
func (a Asker) RequestID() string {
	if a.ID != "" {
		return a.ID
	}
	if a.IdempotencyKey == "" {
		return uuid.Must(uuid.NewV7()).String()
	}
	return uuid.NewSHA1(uuid.MustParse(namespace), []byte(a.Key+"\x00"+a.IdempotencyKey)).String()
}

// encodeRequest is what was asked for, whatever the order of its fields was, or an error
// where that is too much.
func encodeRequest(op contract.Operation) ([]byte, error) {
	body, err := json.Marshal(struct {
		Kind, Project string
		Command       *contract.Command
		Spec          *contract.ProjectSpec
		Work          *contract.Work          `json:",omitempty"`
		Build         *contract.Build         `json:",omitempty"`
		Change        *contract.ProjectChange `json:",omitempty"`
	}{op.Kind, op.Project, op.Command, op.Spec, op.Work, op.Build, op.Change})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if len(body) > maxRequest {
		return nil, &contract.Error{
			Code:   contract.CodePayloadTooLarge,
			Detail: fmt.Sprintf("the request takes %d bytes in the log, of %d that it may; put long texts into files", len(body), maxRequest),
		}
	}
	return body, nil
}

// hashOf tells a repeated request from another with the same key.
func hashOf(request []byte) string {
	sum := sha256.Sum256(request)
	return hex.EncodeToString(sum[:16])
}
