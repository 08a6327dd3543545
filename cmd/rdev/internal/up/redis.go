package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/orchard9/rdev/libs/redis/local"
)

// caches is a Redis server of our own, nil where there is none.
type caches struct{ server *local.Server }

// startRedis starts the server that the machine has, unless another is configured. Without
// one projects have no caches.
func startRedis(ctx context.Context, cfg Config, home home, log *slog.Logger) (*caches, error) {
	if cfg.Far.RedisURL != "" {
		return &caches{}, nil
	}
	program := cfg.Redis
	if program.Path == "" {
		var err error
		program, err = local.Find(ctx)
		if errors.Is(err, local.ErrMissing) {
			log.Info("projects have no caches", "reason", err.Error())
			return &caches{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look for Redis: %w", err)
		}
	}
	server, err := local.Start(ctx, local.Options{Dir: home.path("redis"), Program: program, Log: log.With("service", "redis")})
	if err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	return &caches{server}, nil
}

// url is how the provisioner reaches the server, "" where there is none.
func (c *caches) url() string {
	if c.server == nil {
		return ""
	}
	return c.server.URL()
}

// run returns when ctx is done, or with an error when the server has ended.
func (c *caches) run(ctx context.Context) error {
	if c.server == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-c.server.Done():
		return errors.New("redis has ended: $RDEV_HOME/redis/redis.log says why")
	}
}

// stop ends the server, where it is ours.
func (c *caches) stop(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDatabase)
	defer cancel()
	return c.server.Stop(ctx)
}
