package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// connectPoll is the pause between two attempts to connect.
const connectPoll = 100 * time.Millisecond

// connect tries until the server accepts the connection, patience ends, or the
// answer is one that waiting does not change.
func connect(ctx context.Context, config *pgx.ConnConfig, patience time.Duration) (*pgx.Conn, error) {
	limit, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(connectPoll)
	defer ticker.Stop()
	var last error
	for {
		conn, err := pgx.ConnectConfig(limit, config)
		if err == nil {
			return conn, nil
		}
		// An attempt that was cut short says less than the one before it.
		if last == nil || limit.Err() == nil {
			last = err
		}
		if !passing(err) {
			return nil, err
		}
		select {
		case <-limit.Done():
			return nil, last
		case <-ticker.C:
		}
	}
}

// passing tells whether the server may accept the next attempt. What it answers
// is final, except that it is starting, stopping or full; that it does not
// answer at all is passing.
func passing(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return true
	}
	switch answer.Code {
	case "57P03", "57P01", "53300": // cannot_connect_now, admin_shutdown, too_many_connections
		return true
	}
	return false
}
