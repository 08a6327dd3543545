// Package bus is rdev's use of NATS JetStream: the guarded event log, the lanes
// of commands, output and its tail, and requests between services.
//
// Delivery is at least once, so handlers must stand a second delivery; an
// append happens exactly once, whatever becomes of its acknowledgement.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// requestTimeout bounds every single request to NATS: a reply can be lost when
// a stream changes its leader, and is then asked for again.
const requestTimeout = 2 * time.Second

// errAway is returned where there is no connection just now.
var errAway = errors.New("nats: not connected")

// Conn is a service's connection to NATS. It is safe for concurrent use.
type Conn struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	service  string
	instance string
	trouble  *trouble
	live     *hub
	ends     shared[place] // by stream and filter
	heads    shared[heads] // by what is followed, and from where
	known    headsRead
	loads    shared[loaded] // by id of the operation
	commits  sync.Mutex     // held while a group of events is stored
}

// Options tells who connects, and where to.
type Options struct {
	NATS    Settings
	Service string // gateway, executor, …
	// Instance tells two processes of a service apart; a random one where empty.
	Instance string
	Log      *slog.Logger
}

// Connect connects and stays connected: it reconnects for as long as it lives,
// also where it is refused, for NATS may learn of a key later than the service.
// What keeps it from connecting is logged, and returned once ctx or its patience
// ends. A user that may not do what the service does is an error at once.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	if o.Instance == "" {
		o.Instance = uuid.NewString()[:8]
	}
	given, err := o.NATS.options()
	if err != nil {
		return nil, err
	}
	trouble := &trouble{log: o.Log}
	options := slices.Concat([]nats.Option{
		nats.Name("rdev-" + o.Service + "-" + o.Instance),
		nats.CustomInboxPrefix("_INBOX." + o.Service),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, time.Second),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.Timeout(requestTimeout),
		nats.PingInterval(10 * time.Second),
		nats.SyncQueueLen(2 * backfillBatch), // a batch makes room for so many answers: 512 KiB by default
	}, trouble.handlers(), given)
	nc, err := nats.Connect(o.NATS.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	c := &Conn{nc: nc, service: o.Service, instance: o.Instance, trouble: trouble, live: newHub(nc)}
	if c.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		nc.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	if err := trouble.await(ctx, nc); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS at %s: %w", o.NATS.redacted(), err)
	}
	if err := c.checkRights(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to NATS at %s: %w", o.NATS.redacted(), err)
	}
	return c, nil
}

// Instance tells this process from others of the same service.
func (c *Conn) Instance() string { return c.instance }

// NATS is the connection itself, for what this package has no word for.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// JetStream is the JetStream context of the connection.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Ready tells whether NATS answers.
func (c *Conn) Ready(ctx context.Context) error {
	if !c.nc.IsConnected() {
		c.trouble.look(c.nc)
		return c.trouble.cause(errAway)
	}
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("nats: %w", err)
	}
	return nil
}

// Close sends what is buffered, and closes the connection.
func (c *Conn) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	_ = c.nc.FlushWithContext(ctx) // what could not be sent is asked for again by its reader
	c.nc.Close()
}

// wait pauses between two tries of something, or returns ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
