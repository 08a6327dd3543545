package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/database"
	"github.com/orchard9/rdev/migrations"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// Bootstrap makes the first API key of an installation, one that may do everything,
// and returns its secret, which is kept nowhere. Where a key that may do everything
// works already it is a *contract.Error with CONFLICT, unless the caller wants one
// again; where all such were revoked it makes another.
func Bootstrap(ctx context.Context, cfg Config, again bool, log *slog.Logger) (secret string, err error) {
	pepper, err := readPepper(cfg.KeyPepper)
	if err != nil {
		return "", err
	}
	conn, err := connect(ctx, cfg, log)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ring := app.NewKeyring(pepper)
	if err := readKeys(ctx, cfg, conn, ring, log); err != nil {
		return "", err
	}
	issued, err := (&app.Keys{Log: conn, Ring: ring, Pepper: pepper}).Bootstrap(ctx, again)
	return issued.Secret, err
}

// readKeys reads every key that there is, from the table and from the log.
func readKeys(ctx context.Context, cfg Config, conn *bus.Conn, ring *app.Keyring, log *slog.Logger) error {
	pool, err := database.Open(ctx, cfg.DatabaseURL, contract.ServiceGateway, migrations.For)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := (postgres.Keys{Pool: pool}).Each(ctx, ring.Apply); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	read := false
	err = conn.Follow(ctx, contract.EntityFilter(contract.EntityKey), 0, log, func(e bus.Event) error {
		applyKey(ring, e)
		return nil
	}, func() { read = true; stop() })
	if read {
		return nil
	}
	return err
}

// PrintFirstKey is Bootstrap for a terminal: it prints the secret, alone on a line.
func PrintFirstKey(ctx context.Context, cfg Config, log *slog.Logger, out io.Writer) error {
	secret, err := Bootstrap(ctx, cfg, false, log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, secret)
	return err
}
