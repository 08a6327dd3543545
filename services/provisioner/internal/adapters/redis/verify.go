package redis

import (
	"context"
	"fmt"
	"strings"
)

// Known implements app.Caches.
func (s *Server) Known(ctx context.Context, slug, password string) (bool, error) {
	name, err := s.nameOf(slug)
	if err != nil {
		return false, err
	}
	as := s.connectAs(ctx, name, password)
	defer as.close()
	switch err := as.Ping(ctx).Err(); {
	case refused(err), strings.HasPrefix(answered(err), "NOPERM"):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("connect as %s: %w", name, err)
	}
	c := s.connect(ctx, 0)
	defer c.close()
	u, err := c.user(ctx, name)
	if err != nil {
		return false, explain(ctx, err)
	}
	if u == nil || !u.takes(password) {
		return false, nil
	}
	differences, err := c.differ(ctx, name)
	return err == nil && len(differences) == 0, explain(ctx, err)
}

// Verify implements app.Caches.
func (s *Server) Verify(ctx context.Context, slug string) ([]string, error) {
	name, err := s.nameOf(slug)
	if err != nil {
		return nil, err
	}
	c := s.connect(ctx, 0)
	defer c.close()
	differences, err := s.verify(ctx, c, name)
	return differences, explain(ctx, err)
}

func (s *Server) verify(ctx context.Context, c *session, name string) (differences []string, err error) {
	if _, err := c.look(ctx); err != nil {
		return nil, err
	}
	u, err := c.user(ctx, name)
	if err != nil {
		return nil, err
	}
	if u == nil {
		differences = append(differences, "the user "+name+" is missing")
	} else {
		differences = u.differ(name)
		rules, err := c.differ(ctx, name)
		if err != nil {
			return nil, err
		}
		differences = append(differences, rules...)
	}
	more, err := s.verifyServer(ctx)
	return append(differences, more...), err
}

// differ lists how who gets in as a user is not as it is to be.
func (u *user) differ(name string) (differences []string) {
	if !u.on {
		differences = append(differences, "the user "+name+" is off")
	}
	if u.open {
		differences = append(differences, "the user "+name+" gets in with any password")
	} else if len(u.passwords) != 1 {
		differences = append(differences, fmt.Sprintf("the user %s has %d passwords", name, len(u.passwords)))
	}
	return differences
}

// verifyServer lists what of the server lets projects out of their prefix.
func (s *Server) verifyServer(ctx context.Context) (differences []string, err error) {
	second := s.connect(ctx, 1)
	defer second.close()
	switch err := second.Ping(ctx).Err(); {
	case err == nil:
		differences = append(differences, "the server of caches has more than one database, and a project may copy its keys to all: set databases to 1 there")
	case answered(err) == "":
		return nil, fmt.Errorf("ask for another database: %w", err)
	}
	nobody := s.connectAs(ctx, "", "")
	defer nobody.close()
	switch err := nobody.Ping(ctx).Err(); {
	case err == nil, strings.HasPrefix(answered(err), "NOPERM"):
		differences = append(differences, "the server of caches lets everybody in without a password: turn its user default off")
	case answered(err) == "":
		return nil, fmt.Errorf("connect without a password: %w", err)
	}
	return differences, nil
}
