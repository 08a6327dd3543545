package sql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// everybody is the role that all are members of, in lists of rights.
const everybody = "public"

// Verify implements app.Databases. It reads, and no more.
func (s *Server) Verify(ctx context.Context, slug string) ([]string, error) {
	name, mark := s.nameOf(slug), s.markOf(slug)
	c, err := s.connect(ctx, "")
	if err != nil {
		return nil, err
	}
	defer c.close(ctx)
	differences, err := c.verifyRole(ctx, name, mark)
	if err != nil {
		return nil, fmt.Errorf("look at the role %s: %w", name, err)
	}
	ours, more, err := c.verifyDatabase(ctx, name, mark)
	if err != nil {
		return nil, fmt.Errorf("look at the database %s: %w", name, err)
	}
	differences = append(differences, more...)
	if !ours {
		return differences, nil
	}
	if more, err = s.verifyInside(ctx, name); err != nil {
		return nil, fmt.Errorf("look into the database %s: %w", name, err)
	}
	return append(differences, more...), nil
}

// verifyRole lists what of a role is not as Create makes it.
func (c *session) verifyRole(ctx context.Context, name, mark string) (differences []string, err error) {
	var in, powers bool
	var limit int
	var comment string
	err = c.read(ctx, `select rolcanlogin, rolsuper or rolcreatedb or rolcreaterole, rolconnlimit, `+c.dialect.roleMark(mark)+`
		from pg_roles where rolname = $1`, []any{name}, &in, &powers, &limit, &comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return []string{"the role " + name + " is missing"}, nil
	}
	if err != nil {
		return nil, err
	}
	if comment != mark {
		differences = append(differences, fmt.Sprintf("the role %s has no mark: its comment is %q", name, comment))
	}
	if !in {
		differences = append(differences, "the role "+name+" may not log in")
	}
	if powers {
		differences = append(differences, "the role "+name+" may make databases or roles")
	}
	if c.dialect == postgreSQL && strconv.Itoa(limit) != connectionsOfRole {
		differences = append(differences, fmt.Sprintf("the role %s may have %d connections, and is to have %s", name, limit, connectionsOfRole))
	}
	return differences, nil
}

// verifyDatabase lists what of a database is not as Create makes it, as far as that can be
// seen from outside. ours is false where there is none, or one of somebody else's, into
// which one may not get.
func (c *session) verifyDatabase(ctx context.Context, name, mark string) (ours bool, differences []string, err error) {
	var owner, comment string
	err = c.read(ctx, `select pg_get_userbyid(datdba)::text, coalesce(shobj_description(oid, 'pg_database'), '')
		from pg_database where datname = $1`, []any{name}, &owner, &comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, []string{"the database " + name + " is missing"}, nil
	}
	if err != nil {
		return false, nil, err
	}
	if comment != mark {
		differences = append(differences, fmt.Sprintf("the database %s has no mark: its comment is %q", name, comment))
	}
	if owner != c.user {
		differences = append(differences, fmt.Sprintf("the database %s belongs to %s, and not to %s", name, owner, c.user))
	}
	rights, err := c.rights(ctx, c.dialect.grants(name))
	if err != nil {
		return false, nil, err
	}
	for _, right := range rights[name].lacks(c.dialect.ofDatabase()...) {
		differences = append(differences, fmt.Sprintf("the role %s lacks %s on its database", name, right))
	}
	delete(rights, name)
	for _, role := range slices.Sorted(maps.Keys(rights)) {
		differences = append(differences, fmt.Sprintf("%s may %s in the database %s", who(role), strings.Join(rights[role], ", "), name))
	}
	return owner == c.user, differences, nil
}

// verifyInside lists what of the schema public is not as Create makes it.
func (s *Server) verifyInside(ctx context.Context, name string) (differences []string, err error) {
	c, err := s.connect(ctx, name)
	if err != nil {
		return nil, err
	}
	defer c.close(ctx)
	rights, err := c.rights(ctx, c.dialect.grantsInside())
	if err != nil {
		return nil, err
	}
	for _, right := range rights[name].lacks("CREATE", "USAGE") {
		differences = append(differences, fmt.Sprintf("the role %s lacks %s on its schema public", name, right))
	}
	if len(rights[everybody].lacks("CREATE")) == 0 {
		differences = append(differences, "everybody may CREATE in the schema public of "+name)
	}
	return differences, nil
}

// privileges are the rights of one role, sorted.
type privileges []string

// lacks are those of some rights that a role does not have.
func (p privileges) lacks(some ...string) []string {
	return slices.DeleteFunc(some, func(right string) bool { return slices.Contains(p, right) || slices.Contains(p, "ALL") })
}

// rightsOf are rights by role.
type rightsOf map[string]privileges

// who is a role in words.
func who(role string) string {
	if role == everybody {
		return "everybody"
	}
	return "the role " + role
}

// rights reads the rows of a query of rights.
func (c *session) rights(ctx context.Context, query string) (rightsOf, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	rows, err := c.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	all := rightsOf{}
	var role, right string
	_, err = pgx.ForEachRow(rows, []any{&role, &right}, func() error {
		all[role] = append(all[role], right)
		return nil
	})
	for role := range all {
		slices.Sort(all[role])
	}
	return all, err
}
