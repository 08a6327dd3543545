package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// WatchPipelines looks at the newest pipeline of each project that has a CI, and has the
// log know where it stands. It looks at all, and returns what went wrong with some.
func (a *App) WatchPipelines(ctx context.Context) error {
	if a.Pipelines == nil {
		return nil
	}
	var failed []error
	err := eachProject(ctx, a.View, func(project contract.Project) error {
		if project.Resource(contract.ResourceCI) == nil || project.State != contract.ProjectReady {
			return nil
		}
		if err := a.watchPipeline(ctx, project.Slug); err != nil && ctx.Err() == nil {
			failed = append(failed, fmt.Errorf("pipelines of %s: %w", project.Slug, err))
		}
		return ctx.Err()
	})
	return errors.Join(append(failed, err)...)
}

func (a *App) watchPipeline(ctx context.Context, slug string) error {
	of, err := a.ciOf(ctx, slug)
	if err != nil {
		return err
	}
	page, _, err := a.Pipelines.List(ctx, of, "", 1)
	if err != nil || len(page) == 0 {
		return err
	}
	newest := page[0]
	state := contract.PipelineState{
		Number: newest.Number, Status: newest.Status, Event: newest.Event, Branch: newest.Branch,
		Commit: newest.Commit, URL: newest.URL, At: time.Now().UTC(),
	}
	_, err = a.Projects.UpdateProject(ctx, slug, func(now *contract.Project) (string, contract.Project, error) {
		if now == nil || now.State != contract.ProjectReady || now.Pipeline != nil && !follows(*now.Pipeline, state) {
			return "", contract.Project{}, nil
		}
		next := *now
		next.Pipeline, next.UpdatedAt = &state, state.At
		return contract.TypeProjectPipeline, next, nil
	})
	return err
}

// follows tells whether a state says something new. An answer may be older than what the
// log has.
func follows(now, next contract.PipelineState) bool {
	if now.Number != next.Number {
		return next.Number > now.Number
	}
	return next.Status != now.Status && !now.Status.Ended()
}
