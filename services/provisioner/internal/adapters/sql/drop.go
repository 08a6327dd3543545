package sql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// dependentObjects is the answer to the end of a role that still has rights somewhere.
const dependentObjects = "2BP01"

// Drop implements app.Databases.
func (s *Server) Drop(ctx context.Context, slug string) error {
	name := s.nameOf(slug)
	c, err := s.connect(ctx, "")
	if err != nil {
		return err
	}
	defer c.close(ctx)
	now, err := c.look(ctx, name, s.markOf(slug))
	if err != nil {
		return err
	}
	if now.roleMark != nil {
		statements := append([]string{"ALTER ROLE " + quoted(name) + " NOLOGIN"}, c.dialect.endSessions(name)...)
		if err := c.exec(ctx, statements...); err != nil {
			return fmt.Errorf("shut out the role %s: %w", name, err)
		}
	}
	if now.database != nil {
		if err := c.exec(ctx, c.dialect.dropDatabase(name)); err != nil {
			return fmt.Errorf("drop the database %s: %w", name, err)
		}
	}
	if now.roleMark == nil {
		return nil
	}
	drop := "DROP ROLE IF EXISTS " + quoted(name)
	err = c.exec(ctx, drop)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == dependentObjects {
		if err = s.disown(ctx, c, name); err == nil {
			err = c.exec(ctx, drop)
		}
	}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Detail != "" {
		return fmt.Errorf("drop the role %s: %w: %s", name, err, strings.ReplaceAll(answer.Detail, "\n", "; "))
	}
	if err != nil {
		return fmt.Errorf("drop the role %s: %w", name, err)
	}
	return nil
}

// disown takes the rights from a role that other projects gave it in their databases:
// only their roles, or who is a member of them, can take them back.
func (s *Server) disown(ctx context.Context, c *session, name string) error {
	databases, err := c.ours(ctx, s.markPrefix())
	if err != nil {
		return fmt.Errorf("look for the databases of other projects: %w", err)
	}
	for _, database := range databases {
		err := s.within(ctx, database,
			"GRANT "+quoted(database)+" TO CURRENT_USER",
			"DROP OWNED BY "+quoted(name),
			"REVOKE "+quoted(database)+" FROM CURRENT_USER")
		if err != nil {
			return fmt.Errorf("take its rights in %s: %w", database, err)
		}
	}
	return nil
}

// ours are the databases of this installation, and so the roles of their names.
func (c *session) ours(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := c.Query(ctx, `select datname::text from pg_database d join pg_roles r on r.rolname = d.datname
		where left(shobj_description(d.oid, 'pg_database'), length($1)) = $1 order by 1`, prefix)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
