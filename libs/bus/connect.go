package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// connectPatience is how long Connect waits for NATS to let the service in.
	connectPatience = 20 * time.Second
	// troubleInterval is how often the log says what keeps a connection away: the
	// client tries several times a second.
	troubleInterval = 10 * time.Second
)

// trouble is what keeps a connection away.
type trouble struct {
	log  *slog.Logger
	mu   sync.Mutex
	last error
	told time.Time
}

// note keeps err as the last cause.
func (t *trouble) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = err
	if now := time.Now(); now.Sub(t.told) >= troubleInterval {
		t.told = now
		t.log.Warn("nats cannot be reached", "error", err)
	}
}

// over forgets it all.
func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last, t.told = nil, time.Time{}
}

// cause joins the last cause, if there is one, to err.
func (t *trouble) cause(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, t.last)
}

// handlers note and log what becomes of a connection.
func (t *trouble) handlers() []nats.Option {
	return []nats.Option{
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if !errors.Is(err, nats.ErrNoServers) { // the next attempt says more
				t.note(err)
			}
		}),
		nats.ErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
			switch {
			case errors.Is(err, nats.ErrSlowConsumer): // tails find their own gaps
			case !nc.IsConnected():
				t.note(err)
			case sub != nil:
				t.log.Warn("nats refused something", "subject", sub.Subject, "error", err)
			default:
				t.log.Warn("nats refused something", "error", err)
			}
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				t.log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			t.over()
			t.log.Info("nats connected again", "url", nc.ConnectedUrlRedacted())
		}),
	}
}

// look notes what the client tells no handler: most of what keeps it from the
// first connection, and failures of TLS.
func (t *trouble) look(nc *nats.Conn) {
	if err := nc.LastError(); err != nil {
		t.note(err)
	}
}

// await returns once NATS has let the service in, or with what kept it out.
func (t *trouble) await(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !nc.IsConnected() {
		t.look(nc)
		select {
		case <-ctx.Done():
			return t.cause(context.Cause(ctx))
		case <-tick.C:
		}
	}
	t.over()
	return nil
}
