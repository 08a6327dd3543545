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
	for after := ""; ; {
		projects, err := a.View.List(ctx, nil, after, contract.MaxPage)
		if err != nil {
			return fmt.Errorf("list projects: %w", err)
		}
		for _, project := range projects {
			after = project.Slug
			if ci := project.Resource(contract.ResourceCI); ci == nil || project.State != contract.ProjectReady {
				continue
			}
			if err := a.watchPipeline(ctx, project.Slug); err != nil && ctx.Err() == nil {
				failed = append(failed, fmt.Errorf("pipelines of %s: %w", project.Slug, err))
			}
		}
		if len(projects) < contract.MaxPage || ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
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
