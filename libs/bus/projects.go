package bus

import (
	"context"
	"errors"

	"github.com/orchard9/rdev/libs/contract"
)

// Project reads a project as the log has it now, or contract.ErrNotFound.
func (c *Conn) Project(ctx context.Context, slug string) (contract.Project, error) {
	var project contract.Project
	e, err := c.lastEvent(ctx, contract.EntityProject, slug, &project)
	if err != nil {
		return project, err
	}
	project.Seq = e.Seq
	return project, nil
}

// UpdateProject loads a project, or nil where there is none, appends the event
// that decide makes of it and returns the project after it; an empty event type
// leaves it as it is. Where another writer was first it loads and asks again.
func (c *Conn) UpdateProject(ctx context.Context, slug string, decide func(*contract.Project) (eventType string, proposed contract.Project, err error)) (contract.Project, error) {
	for {
		var prev *contract.Project
		var after uint64
		now, err := c.Project(ctx, slug)
		switch {
		case err == nil:
			prev, after = &now, now.Seq
		case !errors.Is(err, contract.ErrNotFound):
			return now, err
		}
		eventType, proposed, err := decide(prev)
		if err != nil || eventType == "" {
			return now, err
		}
		next, err := contract.NextProject(prev, eventType, proposed)
		if err != nil {
			return now, err
		}
		next.Seq, err = c.append(ctx, draft{
			entity: contract.EntityProject, eventType: eventType, id: slug,
			project: slug, body: next, after: after,
		})
		if errors.Is(err, ErrConflict) {
			continue
		}
		return next, err
	}
}
