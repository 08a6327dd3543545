package bus

import (
	"context"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func projects() entity[contract.Project] {
	return entity[contract.Project]{
		name:    contract.EntityProject,
		seq:     func(p *contract.Project) *uint64 { return &p.Seq },
		project: func(p contract.Project) string { return p.Slug },
		next:    contract.NextProject,
	}
}

// Project reads a project as the log has it now, or contract.ErrNotFound. An
// answer that is lost is asked for again until ctx ends.
func (c *Conn) Project(ctx context.Context, slug string) (contract.Project, error) {
	return projects().load(ctx, c, slug)
}

// UpdateProject loads a project, or nil where there is none, appends the event
// that decide makes of it and returns the project after it; an empty event type
// leaves it as it is. Where another writer was first it loads and asks again.
func (c *Conn) UpdateProject(ctx context.Context, slug string, decide func(*contract.Project) (eventType string, proposed contract.Project, err error)) (contract.Project, error) {
	return projects().update(ctx, c, slug, decide)
}

// RenewProject is RenewKey for a project that was not deleted.
func (c *Conn) RenewProject(ctx context.Context, known contract.Project, old time.Duration) (renewed bool, err error) {
	return projects().renew(ctx, c, known.Slug, contract.TypeProjectRenewed, known, old)
}
