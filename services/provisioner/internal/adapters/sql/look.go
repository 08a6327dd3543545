package sql

import (
	"context"
	"fmt"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// found is what there is of a name. Each is nil where there is nothing.
type found struct {
	roleMark        *string // comment of the role, "" where it has none
	owner, database *string // who has the database, and its comment
}

// look finds out what there is of a name, and whose it is: an error where that is not this
// project's, as a whole. Its mark may be one of others, too.
func (c *session) look(ctx context.Context, name, mark string, others ...string) (found, error) {
	var f found
	query := `select (select ` + c.dialect.roleMark(mark) + ` from pg_roles where rolname = $1),
		(select pg_get_userbyid(datdba)::text from pg_database where datname = $1),
		(select coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = $1)`
	if err := c.read(ctx, query, []any{name}, &f.roleMark, &f.owner, &f.database); err != nil {
		return f, fmt.Errorf("look for %s: %w", name, err)
	}
	marks := append([]string{mark}, others...)
	switch {
	case f.database != nil && !slices.Contains(marks, *f.database) && !f.halfMade(c.user, mark):
		return f, foreign("a database %s is there, and is not this installation's: it is of the role %s, and its comment is %q: rename it, or drop it", name, *f.owner, *f.database)
	case f.roleMark != nil && !slices.Contains(marks, *f.roleMark):
		return f, foreign("a role %s is there, and is not this installation's: its comment is %q: rename it, or drop it", name, *f.roleMark)
	}
	return f, nil
}

// halfMade tells whether a database without a comment was made by us, who were cut off
// before it had one.
func (f found) halfMade(user, mark string) bool {
	return *f.database == "" && *f.owner == user && f.roleMark != nil && *f.roleMark == mark
}

func foreign(format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}

// Plan implements app.Databases.
func (s *Server) Plan(ctx context.Context, slug string) (string, error) {
	name := s.nameOf(slug)
	c, err := s.connect(ctx, "")
	if err != nil {
		return name, err
	}
	defer c.close(ctx)
	if err := c.able(ctx); err != nil {
		return name, err
	}
	_, err = c.look(ctx, name, s.markOf(slug))
	return name, err
}

// able says what the role lacks that makes databases. CockroachDB has other ways to give
// these rights, and says it when they are missed.
func (c *session) able(ctx context.Context) error {
	if c.dialect == cockroachDB {
		return nil
	}
	var able bool
	if err := c.read(ctx, `select rolsuper or rolcreatedb and rolcreaterole from pg_roles where rolname = current_user`, nil, &able); err != nil {
		return fmt.Errorf("read the rights of %s: %w", c.user, err)
	}
	if !able {
		return foreign("databases are not available on this installation: the role %s at PROVISIONER_PROJECTS_DATABASE_URL needs CREATEDB and CREATEROLE", c.user)
	}
	return nil
}
