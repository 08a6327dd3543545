package sql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Create implements app.Databases.
func (s *Server) Create(ctx context.Context, slug, password string) (app.Database, error) {
	name, mark := s.nameOf(slug), s.markOf(slug)
	made := app.Database{Name: name, Role: name, Host: s.host(), URL: s.urlOf(name, password)}
	c, err := s.connect(ctx, "")
	if err != nil {
		return made, err
	}
	defer c.close(ctx)
	now, err := c.look(ctx, name, mark)
	if err != nil {
		return made, err
	}
	// What another made meanwhile is found by the next try: CREATE does not take it over.
	role := c.dialect.createRole(name, verifierOf(password), mark)
	if now.roleMark != nil {
		role = "ALTER ROLE " + quoted(name) + c.dialect.login(verifierOf(password))
	}
	if err := c.exec(ctx, role); err != nil {
		return made, fmt.Errorf("make the role %s: %w", name, err)
	}
	if now.database == nil {
		if err := c.exec(ctx, c.dialect.createDatabase(name)); err != nil {
			return made, fmt.Errorf("create the database %s: %w", name, err)
		}
	}
	statements := append([]string{"COMMENT ON DATABASE " + quoted(name) + " IS " + literal(mark)}, c.dialect.rights(name)...)
	if err := c.exec(ctx, statements...); err != nil {
		return made, fmt.Errorf("give the database %s its rights: %w", name, err)
	}
	if err := s.within(ctx, name, rightsInside(name)...); err != nil {
		return made, fmt.Errorf("give the schema of %s its rights: %w", name, err)
	}
	if err := s.try(ctx, made.URL); err != nil {
		return made, fmt.Errorf("the role %s does not get into its database: %w", name, err)
	}
	return made, nil
}

// within runs statements in a database.
func (s *Server) within(ctx context.Context, database string, statements ...string) error {
	c, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer c.close(ctx)
	return c.exec(ctx, statements...)
}

// try connects as a program of the project does.
func (s *Server) try(ctx context.Context, address string) error {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return fmt.Errorf("read its own address: %w", err)
	}
	config.ConnectTimeout, config.TLSConfig, config.Fallbacks = connectTimeout, s.config.TLSConfig, s.config.Fallbacks
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	(&session{Conn: conn}).close(ctx)
	return nil
}
