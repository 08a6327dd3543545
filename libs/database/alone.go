package database

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// alonePoll is how often a process looks whether the lock is free, and whether
// it still has it.
const alonePoll = time.Second

// errLockTaken is returned where another process has the lock.
var errLockTaken = errors.New("another process has the lock")

// Alone runs work under a named lock, in one process at a time, until ctx is
// done. Work's context ends when the lock is lost with the connection that holds
// it; it is then waited for again.
func Alone(ctx context.Context, pool *pgxpool.Pool, name string, log *slog.Logger, work func(context.Context) error) error {
	ticker := time.NewTicker(alonePoll)
	defer ticker.Stop()
	for {
		err := locked(ctx, pool, name, work)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, errLockTaken) {
			log.Warn("work under a lock begins again", "lock", name, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func locked(ctx context.Context, pool *pgxpool.Pool, name string, work func(context.Context) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	sum := fnv.New64a()
	sum.Write([]byte("rdev " + name))
	key := int64(sum.Sum64())
	var held bool
	if err := conn.QueryRow(ctx, `select pg_try_advisory_lock($1)`, key).Scan(&held); err != nil {
		return fmt.Errorf("take the lock: %w", err)
	}
	if !held {
		return errLockTaken
	}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(working) }()
	ticker := time.NewTicker(alonePoll)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			return errors.Join(err, unlock(ctx, conn, key))
		case <-ticker.C:
			if working.Err() == nil && conn.Ping(working) != nil {
				cancel()
			}
		}
	}
}

// unlock gives the lock back, or closes the connection, which does the same.
func unlock(ctx context.Context, conn *pgxpool.Conn, key int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, `select pg_advisory_unlock($1)`, key); err != nil {
		return errors.Join(fmt.Errorf("give the lock back: %w", err), conn.Conn().Close(ctx))
	}
	return nil
}
