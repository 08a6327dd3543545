package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// tryLife is for how long a key of try is there where nobody removes it.
const tryLife = time.Minute

// Create implements app.Caches.
func (s *Server) Create(ctx context.Context, slug, password string) (app.Cache, error) {
	name, err := s.nameOf(slug)
	if err != nil {
		return app.Cache{}, err
	}
	made := app.Cache{User: name, Prefix: prefixOf(name), Host: s.options.Addr, URL: s.urlOf(name, password)}
	c := s.connect(ctx, 0)
	defer c.close()
	if err := c.create(ctx, name, password); err != nil {
		return made, explain(ctx, err)
	}
	if err := s.try(ctx, name, password); err != nil {
		if refused(err) {
			return made, fmt.Errorf("the user %s does not get into its cache: %w", name, err)
		}
		return made, explain(ctx, fmt.Errorf("the user %s does not get into its cache: %w", name, err))
	}
	return made, nil
}

func (c *session) create(ctx context.Context, name, password string) error {
	if _, err := c.look(ctx); err != nil {
		return err
	}
	before, err := c.user(ctx, name)
	if err != nil {
		return err
	}
	// A change of the password ends no connection. Nobody has one any more once the new
	// one counts, also where a call before was cut off.
	if before != nil && !before.takes(password) {
		if err := c.shutOut(ctx, name, "resetpass"); err != nil {
			return err
		}
	}
	if err := c.do(ctx, append([]any{"ACL", "SETUSER", name}, rulesOf(prefixOf(name), password)...)...); err != nil {
		return fmt.Errorf("make the user %s: %w", name, err)
	}
	if kept, err := c.save(ctx); err != nil {
		return err
	} else if !kept {
		return forgetful()
	}
	differences, err := c.differ(ctx, name)
	if err == nil && len(differences) > 0 {
		err = refusal("the server of caches does not keep users to their rules: %s", strings.Join(differences, "; "))
	}
	return err
}

// shutOut lets nobody in as a user, by a rule, and ends all its connections.
func (c *session) shutOut(ctx context.Context, name, rule string) error {
	if err := c.do(ctx, "ACL", "SETUSER", name, rule); err != nil {
		return fmt.Errorf("shut out the user %s: %w", name, err)
	}
	if err := c.do(ctx, "CLIENT", "KILL", "USER", name); err != nil {
		return fmt.Errorf("end the connections of %s: %w", name, err)
	}
	return nil
}

// try uses a cache as a program of the project does.
func (s *Server) try(ctx context.Context, name, password string) error {
	c := s.connectAs(ctx, name, password)
	defer c.close()
	if err := c.Ping(ctx).Err(); err != nil {
		return err
	}
	key, value := prefixOf(name)+"rdev-try-"+rand.Text(), rand.Text()
	if err := c.Set(ctx, key, value, tryLife).Err(); err != nil {
		return err
	}
	got, err := c.Get(ctx, key).Result()
	if err == nil && got != value {
		err = errors.New("a key has another value than was just set")
	}
	return errors.Join(err, c.Del(ctx, key).Err())
}
