package app

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// How long, and how often, a list looks whether the view has caught up.
const (
	catchUpPatience = 2 * time.Second
	catchUpPoll     = 20 * time.Millisecond
)

// ListProjects returns a page of the projects that are not deleted.
func (a *App) ListProjects(ctx context.Context, request contract.ListProjects) (contract.ProjectList, error) {
	limit := min(request.Limit, contract.MaxPage)
	if limit <= 0 {
		limit = contract.DefaultPage
	}
	stale, err := a.behind(ctx, request.MinSeq)
	if err != nil {
		return contract.ProjectList{}, fmt.Errorf("list projects: %w", err)
	}
	projects, err := a.View.List(ctx, request.Within, request.Cursor, limit+1)
	if err != nil {
		return contract.ProjectList{}, fmt.Errorf("list projects: %w", err)
	}
	list := contract.ProjectList{Projects: projects, Stale: stale}
	if len(projects) > limit {
		list.Projects = projects[:limit]
		list.NextCursor = &projects[limit-1].Slug
	}
	return list, nil
}

// behind waits until the view holds every event up to a sequence, and tells
// whether it still lacks some. The view sees projects only, so the newest event
// of a project is as far as it gets.
func (a *App) behind(ctx context.Context, minSeq uint64) (bool, error) {
	if minSeq == 0 {
		return false, nil
	}
	last, err := a.Log.LastProjectEvent(ctx)
	if err != nil {
		return false, err
	}
	limit, cancel := context.WithTimeout(ctx, catchUpPatience)
	defer cancel()
	ticker := time.NewTicker(catchUpPoll)
	defer ticker.Stop()
	for {
		position, err := a.View.Position(ctx)
		if err != nil || position >= min(minSeq, last) {
			return false, err
		}
		select {
		case <-limit.Done():
			return true, nil
		case <-ticker.C:
		}
	}
}

// eachProject does something with each project that is not deleted, in the order of their
// slugs, until that is an error.
func eachProject(ctx context.Context, view View, do func(contract.Project) error) error {
	for after := ""; ; {
		projects, err := view.List(ctx, nil, after, contract.MaxPage)
		if err != nil {
			return fmt.Errorf("list projects: %w", err)
		}
		for _, project := range projects {
			if err := do(project); err != nil {
				return err
			}
			after = project.Slug
		}
		if len(projects) < contract.MaxPage {
			return nil
		}
	}
}
