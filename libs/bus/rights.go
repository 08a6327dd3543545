package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/bus/access"
)

// checkRights finds out whether NATS lets the service do all that it does. What it
// forbids would be a time-out else, some day, that says nothing of why. A server
// that does not tell is taken at that.
func (c *Conn) checkRights(ctx context.Context) error {
	needed, ok := access.Of(c.service)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := c.nc.RequestWithContext(ctx, access.SubjectUserInfo, nil)
	if err != nil {
		return nil
	}
	type rights struct{ Allow, Deny []string }
	var told struct {
		Data struct {
			User        string                                `json:"user"`
			Permissions *struct{ Publish, Subscribe *rights } `json:"permissions"`
		} `json:"data"`
	}
	if err := json.Unmarshal(reply.Data, &told); err != nil {
		return fmt.Errorf("rights of the user: %w", err)
	}
	if told.Data.Permissions == nil {
		return nil // all
	}
	var missing []string
	look := func(what string, subjects []string, has *rights) {
		for _, subject := range subjects {
			if has != nil && (len(has.Allow) > 0 && !covered(subject, has.Allow) || covered(subject, has.Deny)) {
				missing = append(missing, what+" "+subject)
			}
		}
	}
	look("publish", needed.Publish, told.Data.Permissions.Publish)
	look("subscribe to", needed.Subscribe, told.Data.Permissions.Subscribe)
	if len(missing) > 0 {
		return fmt.Errorf("the NATS user %s of the %s may not %s: it lacks rights that this version needs (rdev deploy secrets gives them)",
			told.Data.User, c.service, strings.Join(missing, ", nor "))
	}
	return nil
}

// covered tells whether one of some subjects matches all that another does.
func covered(subject string, by []string) bool {
	return slices.ContainsFunc(by, func(pattern string) bool { return covers(strings.Split(pattern, "."), strings.Split(subject, ".")) })
}

func covers(pattern, subject []string) bool {
	for i, token := range pattern {
		switch {
		case token == ">":
			return len(subject) > i
		case len(subject) <= i, subject[i] == ">", token != "*" && token != subject[i]:
			return false
		}
	}
	return len(pattern) == len(subject)
}
