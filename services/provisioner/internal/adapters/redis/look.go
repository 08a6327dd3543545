package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// minimumMajor is the oldest Redis whose users can be kept to channels, and asked what they
// may.
const minimumMajor = 7

// scanCount is about how many keys one step of a search looks at.
const scanCount = 1000

// user is a user of the server.
type user struct {
	on, open  bool     // open: any password will do
	passwords []string // their digests
}

// user reads a user, nil where there is none.
func (c *session) user(ctx context.Context, name string) (*user, error) {
	answer, err := c.Do(ctx, "ACL", "GETUSER", name).Slice()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the user %s: %w", name, err)
	}
	var u user
	for i := 0; i+1 < len(answer); i += 2 {
		values, _ := answer[i+1].([]any)
		for _, value := range values {
			text, _ := value.(string)
			switch answer[i] {
			case "passwords":
				u.passwords = append(u.passwords, text)
			case "flags":
				u.on, u.open = u.on || text == "on", u.open || text == "nopass"
			}
		}
	}
	return &u, nil
}

// takes tells whether a user gets in with a password, and with no other.
func (u *user) takes(password string) bool {
	return u.on && !u.open && slices.Equal(u.passwords, []string{digestOf(password)})
}

// about is what the server says about itself.
type about map[string]string

// look asks the server about itself, and says why there can be no caches on it.
func (c *session) look(ctx context.Context) (about, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("ask the server of caches about itself: %w", err)
	}
	a := about{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			a[name] = value
		}
	}
	major, _, _ := strings.Cut(a["redis_version"], ".")
	number, err := strconv.Atoi(major)
	switch {
	case a["redis_mode"] == "sentinel" || a["server_mode"] == "sentinel":
		return a, refusal("caches are not available on this installation: %s names a Redis Sentinel, and has to name the Redis itself", setting)
	case a["cluster_enabled"] == "1":
		return a, refusal("caches are not available on this installation: the server at %s is a Redis Cluster, which has users of its own on each node: use one without", setting)
	case err != nil || number < minimumMajor:
		return a, refusal("caches are not available on this installation: the server at %s is a Redis %q, and has to be of version %d or later", setting, a["redis_version"], minimumMajor)
	case a["role"] == "slave":
		return a, refusal("caches are not available on this installation: the server at %s is a replica: name its master", setting)
	}
	return a, nil
}

// databases are the numbers of the databases that have keys.
func (a about) databases() (all []int) {
	for name := range a {
		if number, ok := strings.CutPrefix(name, "db"); ok {
			if n, err := strconv.Atoi(number); err == nil {
				all = append(all, n)
			}
		}
	}
	slices.Sort(all)
	return all
}

// keys calls do with the keys of a prefix, some at a time, until it returns false or there
// are no more. Keys that somebody adds meanwhile may be missed.
func (c *session) keys(ctx context.Context, prefix string, do func(keys []string) (bool, error)) error {
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, prefix+"*", scanCount).Result()
		if err != nil {
			return fmt.Errorf("look for keys: %w", err)
		}
		if len(keys) > 0 {
			if more, err := do(keys); err != nil || !more {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// unowned says that there are keys of a name without a user of that name.
func (s *Server) unowned(ctx context.Context, a about, name string) error {
	for _, database := range a.databases() {
		c := s.connect(ctx, database)
		var first string
		err := c.keys(ctx, prefixOf(name), func(keys []string) (bool, error) { first = keys[0]; return false, nil })
		c.close()
		switch {
		case err != nil:
			return err
		case first != "":
			return refusal("keys that begin with %s are there, as %q, and no user %s: they are somebody else's, or the server has forgotten the user; remove them, or make the user, and try again", prefixOf(name), first, name)
		}
	}
	return nil
}

// Plan implements app.Caches.
func (s *Server) Plan(ctx context.Context, slug string) (string, error) {
	name, err := s.nameOf(slug)
	if err != nil {
		return "", err
	}
	c := s.connect(ctx, 0)
	defer c.close()
	return name, explain(ctx, s.plan(ctx, c, name))
}

func (s *Server) plan(ctx context.Context, c *session, name string) error {
	a, err := c.look(ctx)
	if err != nil {
		return err
	}
	if err := c.remembers(ctx, a); err != nil {
		return err
	}
	known, err := c.user(ctx, name)
	if known != nil || err != nil {
		return err
	}
	return s.unowned(ctx, a, name)
}
