package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// Pipelines are those that the CI runs. What is not there is contract.ErrNotFound, or a
// *contract.Error that says what; what the operator or the user can mend is a *StepError.
type Pipelines interface {
	// List returns up to limit pipelines, the newest first, without their errors and
	// workflows, and the cursor of the next page, "" on the last one.
	List(ctx context.Context, of CIOf, cursor string, limit int) (page []contract.Pipeline, next string, err error)
	Get(ctx context.Context, of CIOf, number int64) (contract.Pipeline, error)
	// Run starts a pipeline, or finds the one that the same request has started, as far as
	// the newest fifty of the CI tell.
	Run(ctx context.Context, of CIOf, run contract.RunPipeline) (contract.PipelineStarted, error)
	// Rerun starts a pipeline once more, as a new one.
	Rerun(ctx context.Context, of CIOf, number int64) (contract.Pipeline, error)
	// Cancel ends a pipeline that has not ended.
	Cancel(ctx context.Context, of CIOf, number int64) error
	// Logs are the lines that a step has put out so far.
	Logs(ctx context.Context, of CIOf, number, step int64) ([]string, error)
}

// CIOf says which of the CI's repositories is the project's.
type CIOf struct {
	ID    string // in the CI
	Forge string // id on the forge, which the CI's has to have, too; "" where it is not known
}

// noCI is what is said where the installation has no CI.
const noCI = "there is no CI on this installation: set PROVISIONER_WOODPECKER_URL and PROVISIONER_WOODPECKER_TOKEN_FILE"

// ciOf finds the CI's repository of a project.
func (a *App) ciOf(ctx context.Context, slug string) (CIOf, error) {
	project, err := readProject(ctx, a.Projects, slug)
	if err != nil {
		return CIOf{}, err
	}
	if project == nil || project.State == contract.ProjectDeleted {
		return CIOf{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no project " + slug}
	}
	if a.Pipelines == nil {
		return CIOf{}, &contract.Error{Code: contract.CodeUnavailable, Detail: noCI}
	}
	ci := project.Resource(contract.ResourceCI)
	if ci == nil || ci.External[contract.ExternalID] == "" {
		return CIOf{}, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("project %s has no CI", slug)}
	}
	of := CIOf{ID: ci.External[contract.ExternalID]}
	if repository := project.Resource(contract.ResourceRepository); repository != nil {
		of.Forge = repository.External[contract.ExternalID]
	}
	return of, nil
}

// GetPipeline returns a pipeline of a project.
func (a *App) GetPipeline(ctx context.Context, request contract.GetPipeline) (contract.Pipeline, error) {
	of, err := a.ciOf(ctx, request.Project)
	if err != nil {
		return contract.Pipeline{}, err
	}
	pipeline, err := a.Pipelines.Get(ctx, of, request.Number)
	return pipeline, ofCI(err, pipelineOf(request.Project, request.Number))
}

// ListPipelines returns a page of the pipelines of a project.
func (a *App) ListPipelines(ctx context.Context, request contract.ListPipelines) (contract.PipelineList, error) {
	of, err := a.ciOf(ctx, request.Project)
	if err != nil {
		return contract.PipelineList{}, err
	}
	limit := min(request.Limit, contract.MaxPage)
	if limit <= 0 {
		limit = contract.DefaultPage
	}
	pipelines, next, err := a.Pipelines.List(ctx, of, request.Cursor, limit)
	if err != nil {
		return contract.PipelineList{}, ofCI(err, "pipelines of project "+request.Project)
	}
	list := contract.PipelineList{Pipelines: append([]contract.Pipeline{}, pipelines...)}
	if next != "" {
		list.NextCursor = &next
	}
	return list, nil
}

// CancelPipeline ends a pipeline. Asking again changes nothing; one that has ended
// otherwise is a CONFLICT.
func (a *App) CancelPipeline(ctx context.Context, request contract.GetPipeline) (contract.Pipeline, error) {
	of, err := a.ciOf(ctx, request.Project)
	if err != nil {
		return contract.Pipeline{}, err
	}
	what := pipelineOf(request.Project, request.Number)
	now, err := a.Pipelines.Get(ctx, of, request.Number)
	if err == nil && !now.Status.Ended() {
		refused := a.Pipelines.Cancel(ctx, of, request.Number)
		// It may have come to its end meanwhile: how it stands decides.
		if now, err = a.Pipelines.Get(ctx, of, request.Number); err == nil && !now.Status.Ended() {
			err = refused
		}
	}
	if err != nil {
		return contract.Pipeline{}, ofCI(err, what)
	}
	if now.Status.Ended() && !now.Status.Stopped() {
		return now, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("%s has ended: it is %s", what, now.Status)}
	}
	return now, nil
}

func pipelineOf(project string, number int64) string {
	return fmt.Sprintf("pipeline %d of project %s", number, project)
}

// ofCI is an error of the CI as the API says it; what names what was asked for.
func ofCI(err error, what string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*contract.Error](err); ok {
		return err
	}
	if errors.Is(err, contract.ErrNotFound) {
		return &contract.Error{Code: contract.CodeNotFound, Detail: "there is no " + what}
	}
	if known, ok := errors.AsType[*StepError](err); ok {
		code := contract.CodeUnavailable
		if known.Failure.Class == contract.ClassUser {
			code = contract.CodeConflict
		}
		return &contract.Error{Code: code, Detail: known.Failure.Message}
	}
	return &contract.Error{Code: contract.CodeUnavailable, Detail: fmt.Sprintf("the CI did not answer as it should: %v", err)}
}
