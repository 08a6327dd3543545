package redis

import (
	"context"
	"fmt"
)

// Drop implements app.Caches. The user is the last to go: where there is none, nothing was
// made.
func (s *Server) Drop(ctx context.Context, slug string) error {
	name, err := s.nameOf(slug)
	if err != nil {
		return err
	}
	c := s.connect(ctx, 0)
	defer c.close()
	return explain(ctx, s.drop(ctx, c, name))
}

func (s *Server) drop(ctx context.Context, c *session, name string) error {
	a, err := c.look(ctx)
	if err != nil {
		return err
	}
	known, err := c.user(ctx, name)
	switch {
	case err != nil:
		return err
	case known == nil:
		err = s.unowned(ctx, a, name)
	default:
		err = s.remove(ctx, c, name)
	}
	if err != nil {
		return err
	}
	// Also where it is gone: who removed it may not have come to this. Where users are not
	// kept there is nothing to forget.
	_, err = c.save(ctx)
	return err
}

// remove removes a user, and its keys, also those that it copied into other databases.
func (s *Server) remove(ctx context.Context, c *session, name string) error {
	if err := c.shutOut(ctx, name, "reset"); err != nil {
		return err
	}
	a, err := c.look(ctx) // nobody writes any more
	if err != nil {
		return err
	}
	for _, database := range a.databases() {
		if err := s.empty(ctx, database, prefixOf(name)); err != nil {
			return fmt.Errorf("remove the keys of %s from database %d: %w", name, database, err)
		}
	}
	if err := c.do(ctx, "ACL", "DELUSER", name); err != nil {
		return fmt.Errorf("remove the user %s: %w", name, err)
	}
	return nil
}

// empty removes the keys of a prefix from a database.
func (s *Server) empty(ctx context.Context, database int, prefix string) error {
	c := s.connect(ctx, database)
	defer c.close()
	return c.keys(ctx, prefix, func(keys []string) (bool, error) { return true, c.Unlink(ctx, keys...).Err() })
}
