package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// lockPoll is how often a process that waits tries to become the leader.
	lockPoll = 250 * time.Millisecond
	// leaderCheck is how often the leader asks whether its connection still holds,
	// and how long the answer may take. A connection that the server closes is
	// noticed at once.
	leaderCheck = 5 * time.Second
	// closeTimeout bounds the goodbye to the server.
	closeTimeout = time.Second
)

// errLeadershipLost is returned where the connection that held the lock broke.
var errLeadershipLost = errors.New("the lock of the projection was lost")

// Lead waits until this process is the only one that leads, and then runs work.
// The context of work ends when ctx does, when the lock is lost, or when the view
// was emptied; Lead returns once work has, with nil in the last case and the first.
func (v View) Lead(ctx context.Context, work func(context.Context) error) (err error) {
	pooled, err := v.Pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect for the lock: %w", err)
	}
	conn := pooled.Hijack() // its session holds the lock, so no other may use it
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = conn.Close(bye) // the server releases the lock, however the connection ends
	}()
	if err := lock(ctx, conn); err != nil {
		return fmt.Errorf("lock the projection: %w", err)
	}
	if err := listen(ctx, conn); err != nil {
		return err
	}
	workCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- work(workCtx); cancel() }()
	err = watch(workCtx, conn)
	cancel()
	workErr := <-done
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(err, workErr)
}

// lock polls, for a statement that waits inside the server keeps it from cleaning up.
func lock(ctx context.Context, conn *pgx.Conn) error {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		var held bool
		const try = `select pg_try_advisory_lock(hashtextextended(current_schema() || ' projection', 0))`
		if err := conn.QueryRow(ctx, try).Scan(&held); err != nil || held {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func listen(ctx context.Context, conn *pgx.Conn) error {
	var channel string
	if err := conn.QueryRow(ctx, `select `+rebuildChannel).Scan(&channel); err != nil {
		return fmt.Errorf("name the channel of rebuilds: %w", err)
	}
	if _, err := conn.Exec(ctx, `listen `+pgx.Identifier{channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen for rebuilds: %w", err)
	}
	return nil
}

// watch returns when ctx is done, the connection is lost or the view was emptied.
func watch(ctx context.Context, conn *pgx.Conn) error {
	for ctx.Err() == nil {
		waiting, cancel := context.WithTimeout(ctx, leaderCheck)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		switch {
		case err == nil, ctx.Err() != nil:
			return nil //nolint:nilerr // the end of ctx is no failure
		case !pgconn.Timeout(err):
			return fmt.Errorf("%w: %w", errLeadershipLost, err)
		}
		asking, cancel := context.WithTimeout(ctx, leaderCheck)
		err = conn.Ping(asking)
		cancel()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w: %w", errLeadershipLost, err)
		}
	}
	return nil
}
