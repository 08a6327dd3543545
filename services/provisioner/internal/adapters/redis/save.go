package redis

import (
	"context"
	"fmt"
	"strings"
)

// forgetful says that the server has no place for users.
func forgetful() error {
	return refusal("the server of caches forgets its users when it restarts, for it has neither an ACL file nor a configuration file: " +
		"set aclfile in its redis.conf to a file in a directory that it can write, and put all users of redis.conf there")
}

// remembers says that the server would forget users, where it tells.
func (c *session) remembers(ctx context.Context, a about) error {
	if a["config_file"] != "" {
		return nil
	}
	file, err := c.ConfigGet(ctx, "aclfile").Result()
	switch {
	case err != nil && answered(err) == "":
		return fmt.Errorf("ask for the ACL file: %w", err)
	case err == nil && file["aclfile"] == "":
		return forgetful()
	}
	return nil
}

// save has the server keep its users where it starts again: in its ACL file, or where it has
// none in its configuration file. All of its users are kept as they are now. kept is false
// where it has neither.
func (c *session) save(ctx context.Context) (kept bool, err error) {
	err = c.do(ctx, "ACL", "SAVE")
	if strings.Contains(answered(err), "not configured to use an ACL file") {
		err = c.ConfigRewrite(ctx).Err()
		if strings.Contains(answered(err), "without a config file") {
			return false, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("have the server keep its users: %w", err)
	}
	return true, nil
}
