package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

const (
	// projectionBatch is how many events the table of keys takes at a time.
	projectionBatch = 500
	// noteUses is how often it is written down when keys were used.
	noteUses = 30 * time.Second
	// tableAgain is after how long a database is tried again that was away.
	tableAgain = 2 * time.Second
)

// errNoTable is returned while the database is away.
var errNoTable = errors.New("the table of API keys is not at hand")

// readPepper reads the file of the pepper; white space around it does not count.
func readPepper(path string) (domain.Pepper, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return domain.Pepper{}, fmt.Errorf("GATEWAY_KEY_PEPPER_FILE: %w", err)
	}
	if text = bytes.TrimSpace(text); len(text) < domain.MinPepper {
		return domain.Pepper{}, fmt.Errorf("GATEWAY_KEY_PEPPER_FILE: %s has %d bytes, and at least %d are needed", path, len(text), domain.MinPepper)
	}
	return domain.NewPepper(text), nil
}

// followKeys feeds the keyring the log, and goes on where it was after an outage.
func followKeys(ctx context.Context, conn *bus.Conn, ring *app.Keyring, log *slog.Logger) error {
	var next uint64
	return conn.Keep(ctx, log, func(ctx context.Context) error {
		return conn.Follow(ctx, contract.EntityFilter(contract.EntityKey), next, log, func(e bus.Event) error {
			next = e.Seq + 1
			applyKey(ring, e)
			ring.Told(e.Seq)
			return nil
		}, ring.LogRead)
	})
}

// applyKey gives the keyring what an event says. What no writer of ours wrote says
// nothing.
func applyKey(ring *app.Keyring, e bus.Event) {
	if key, err := e.APIKey(); err == nil {
		ring.Apply(key)
	}
}

// lastKey tells the sequence of the newest event of a key.
func lastKey(conn *bus.Conn) func(context.Context) (uint64, error) {
	return func(ctx context.Context) (uint64, error) {
		return conn.LastMatching(ctx, contract.EntityFilter(contract.EntityKey))
	}
}

// renewKeys has the log keep the keys that live on.
func renewKeys(ctx context.Context, conn *bus.Conn, ring *app.Keyring) error {
	keys, err := ring.Living(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := conn.RenewKey(ctx, key, contract.RenewAfter); err != nil {
			return err
		}
	}
	return nil
}

// keyTable is the database, which remembers keys for longer than the log does. The
// gateway serves without it, but for keys that the log has forgotten.
type keyTable struct {
	url  string
	ring *app.Keyring
	conn *bus.Conn
	log  *slog.Logger
	pool atomic.Pointer[pgxpool.Pool] // nil until there is one
}

// run reads the table, and then keeps it, until ctx is done.
func (t *keyTable) run(ctx context.Context) error {
	for {
		err := t.keep(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it ended because it was told to
		}
		t.log.Warn("API keys are kept in memory alone for now", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tableAgain):
		}
	}
}

func (t *keyTable) keep(ctx context.Context) error {
	pool, err := database.Open(ctx, t.url, contract.ServiceGateway, migrations.For)
	if err != nil {
		return err
	}
	t.pool.Store(pool)
	defer func() { t.pool.Store(nil); pool.Close() }()
	keys := postgres.Keys{Pool: pool}
	if err := keys.Each(ctx, t.ring.Apply); err != nil {
		return err
	}
	t.ring.TableRead()
	noted := make(chan struct{})
	go func() {
		defer close(noted)
		t.noteUses(ctx, keys)
	}()
	err = database.Alone(ctx, pool, "projection gateway.keys", t.log, func(ctx context.Context) error {
		return bus.RunProjection(ctx, t.conn, contract.ConsumerKeys, projectionBatch, t.log, keys)
	})
	<-noted
	return err
}

// noteUses writes down when keys were used, now and then and at the end.
func (t *keyTable) noteUses(ctx context.Context, keys postgres.Keys) {
	tick := time.NewTicker(noteUses)
	defer tick.Stop()
	since := time.Now()
	note := func(ctx context.Context) {
		now := time.Now()
		if used := t.ring.UsedSince(since); len(used) > 0 {
			if err := keys.Used(ctx, used); err != nil {
				t.log.Warn("uses of API keys are not written down", "error", err)
				return // the next round has them, too
			}
		}
		since = now
	}
	for {
		select {
		case <-tick.C:
			note(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), tableAgain)
			defer cancel()
			note(last)
			return
		}
	}
}

// LastUsed implements app.KeyUses.
func (t *keyTable) LastUsed(ctx context.Context, ids []string) (map[string]time.Time, error) {
	pool := t.pool.Load()
	if pool == nil {
		return nil, errNoTable
	}
	ctx, cancel := context.WithTimeout(ctx, tableAgain)
	defer cancel()
	return postgres.Keys{Pool: pool}.LastUsed(ctx, ids)
}
