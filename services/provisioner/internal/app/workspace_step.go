package app

import (
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

// WorkspaceStep makes the place where the commands of a project run. What is there of that
// name without a project is of an attempt that was given up.
type WorkspaceStep struct{ Workspaces Workspaces }

// The external names of a workspace.
const (
	workspacePath    = "path"
	workspaceRuntime = "runtime"
)

// Name implements Step.
func (WorkspaceStep) Name() string { return contract.ResourceWorkspace }

// Needs implements Step.
func (WorkspaceStep) Needs() []string { return nil }

// Plan implements Step.
func (WorkspaceStep) Plan(_ context.Context, t Task) (contract.ProvisionAction, string, error) {
	return contract.ProvisionCreate, workspaceOf(t.Slug), nil
}

// Apply implements Step.
func (s WorkspaceStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	workspace, err := s.Workspaces.Create(ctx, t.Slug)
	if err != nil { // it has waited for as long as a pod may take
		return nil, &StepError{Failure: contract.NewFailure(contract.ClassInfrastructure, "%v", err), Final: true}
	}
	return map[string]string{workspacePath: workspace.Path, workspaceRuntime: workspace.Runtime}, nil
}

// Undo implements Step.
func (s WorkspaceStep) Undo(ctx context.Context, t Task) error {
	return s.Workspaces.Remove(ctx, t.Slug)
}

// Verify implements Step.
func (s WorkspaceStep) Verify(ctx context.Context, t Task) ([]string, error) {
	return s.Workspaces.Verify(ctx, t.Slug)
}

// workspaceOf says in words what the workspace of a project is.
func workspaceOf(slug string) string { return "workspace of " + slug }
