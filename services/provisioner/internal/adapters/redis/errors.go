package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// setting is where the operator gives the address of the server.
const setting = "PROVISIONER_PROJECTS_REDIS_URL"

// refusal is an error that the operator, or the user, can mend.
func refusal(format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, format, args...)}
}

// answered is what the server said in place of an answer, "" where err is none of its.
func answered(err error) string {
	if answer, ok := errors.AsType[redis.Error](err); ok && !errors.Is(err, redis.Nil) {
		return answer.Error()
	}
	return ""
}

// refused tells whether the server does not take a user or a password.
func refused(err error) bool {
	said := answered(err)
	return strings.HasPrefix(said, "WRONGPASS") || strings.HasPrefix(said, "NOAUTH")
}

// explain says of an error of the administrator's what to do, where that is known.
func explain(ctx context.Context, err error) error {
	said := answered(err)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: %w", context.Cause(ctx), err) // the connection was broken off
	case refused(err):
		return &app.StepError{Failure: contract.NewFailure(contract.ClassAuth, "the server of caches does not take the user or the password at %s", setting)}
	case strings.HasPrefix(said, "NOPERM"):
		return &app.StepError{Failure: contract.NewFailure(contract.ClassAuth, "the user at %s may not do what is needed to make caches: give it ~* &* +@all", setting)}
	case strings.HasPrefix(said, "READONLY"):
		return refusal("the server of caches is a replica: %s has to name its master", setting)
	case strings.HasPrefix(said, "OOM"):
		return refusal("the server of caches has used up its memory: set maxmemory-policy to allkeys-lru there, or maxmemory higher")
	}
	return err
}
