package sql

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Rotate implements app.Databases. A change of the password does not end the sessions
// that came in with the one before.
func (s *Server) Rotate(ctx context.Context, slug, password string) (app.Database, error) {
	made, err := s.Create(ctx, slug, password)
	if err != nil {
		return made, err
	}
	c, err := s.connect(ctx, "")
	if err != nil {
		return made, err
	}
	defer c.close(ctx)
	if err := c.exec(ctx, append(c.dialect.endSessions(made.Role), c.dialect.leave(made.Role)...)...); err != nil {
		return made, fmt.Errorf("end the sessions of %s: %w", made.Role, err)
	}
	return made, nil
}

// Release implements app.Databases.
func (s *Server) Release(ctx context.Context, slug string) error {
	name, mark := s.nameOf(slug), s.markOf(slug)
	kept := "kept, was " + mark
	c, err := s.connect(ctx, "")
	if err != nil {
		return err
	}
	defer c.close(ctx)
	now, err := c.look(ctx, name, mark, kept)
	if err != nil {
		return err
	}
	var statements []string
	if now.database != nil {
		statements = append(statements, "COMMENT ON DATABASE "+quoted(name)+" IS "+literal(kept))
	}
	if now.roleMark != nil && c.dialect != cockroachDB {
		statements = append(statements, "COMMENT ON ROLE "+quoted(name)+" IS "+literal(kept))
	}
	if err := c.exec(ctx, statements...); err != nil {
		return fmt.Errorf("take the mark off %s: %w", name, err)
	}
	return nil
}
