package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Project reads a project as the log has it now, or contract.ErrNotFound. An
// answer that is lost is asked for again until ctx ends.
func (c *Conn) Project(ctx context.Context, slug string) (contract.Project, error) {
	var project contract.Project
	for {
		e, err := c.last(ctx, contract.StreamEvents, contract.EventFilter(contract.EntityProject, slug))
		if err == nil {
			if err := json.Unmarshal(e.Data, &project); err != nil {
				return project, fmt.Errorf("project %s at %d: %w", slug, e.Seq, err)
			}
			project.Seq = e.Seq
			return project, nil
		}
		if errors.Is(err, contract.ErrNotFound) || wait(ctx, 50*time.Millisecond) != nil {
			return project, fmt.Errorf("project %s: %w", slug, err)
		}
	}
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
