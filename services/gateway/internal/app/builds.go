package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
)

// RunBuild accepts a build: its steps run as soon as what they need is there.
func (a *App) RunBuild(ctx context.Context, asker Asker, project string, build contract.Build) (Accepted, error) {
	return a.acceptBuild(ctx, asker, project, build, Pinned)
}

// acceptBuild accepts a build as pin makes it, once it is known of which repositories it is.
func (a *App) acceptBuild(ctx context.Context, asker Asker, project string, build contract.Build, pin func(contract.Build) contract.Build) (Accepted, error) {
	asked := pin(build)
	return a.accept(ctx, asker, contract.Operation{Kind: contract.KindBuild, Project: project, Build: &asked}, func(op *contract.Operation) error {
		if err := a.requireRoom(contract.WorkLane(), project, ahead{}); err != nil {
			return err
		}
		op.Build = &build
		if err := a.requireReady(ctx, op); err != nil {
			return err
		}
		filled := pin(*op.Build)
		op.Build = &filled
		_, err := encodeRequest(*op) // it may have become too large
		return err
	})
}

// Rerun says which steps of a build run again, besides those that did not complete and all
// that need one that does.
type Rerun struct {
	From string // a step, or all of a matrix, "" for none
	All  bool
}

// RerunBuild accepts a build once more that has ended. What it had completed is taken
// from it, but for the steps that are to run again.
func (a *App) RerunBuild(ctx context.Context, asker Asker, old contract.Operation, which Rerun) (Accepted, error) {
	if old.Build == nil {
		return Accepted{}, NoBuild(old.ID)
	}
	if !old.State.Ended() {
		return Accepted{}, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("build %s has not ended: it is %s", old.ID, old.State)}
	}
	from := func(step contract.BuildStep) bool {
		if step.Command.Git != nil && step.Command.Git.Verb == contract.GitResolve {
			return false // it stays at the commit that it was of
		}
		return which.All || which.From != "" && (step.Name == which.From || step.Of == which.From)
	}
	if which.From != "" && !slices.ContainsFunc(old.Build.Steps, from) {
		detail := fmt.Sprintf("build %s has no step %q", old.ID, which.From)
		return Accepted{}, &contract.Error{
			Code: contract.CodeInvalidRequest, Detail: detail, Fields: []contract.FieldError{{Field: "from", Message: "names no step of the build"}},
		}
	}
	build := *old.Build
	build.RerunOf, build.Steps = old.ID, again(old.Build, from)
	if !slices.ContainsFunc(build.Steps, func(s contract.BuildStep) bool { return s.State == contract.StepPending }) {
		return Accepted{}, &contract.Error{
			Code:   contract.CodeConflict,
			Detail: fmt.Sprintf("build %s has completed: say from which step it is to run again, or that all of it is", old.ID),
		}
	}
	return a.acceptBuild(ctx, asker, old.Project, build, func(pinned contract.Build) contract.Build { return pinned })
}

// NoBuild is the error of what is no build.
func NoBuild(id string) error {
	return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no build %q", id)}
}
