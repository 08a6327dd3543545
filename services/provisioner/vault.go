package provisioner

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/postgres"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/vault"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// MasterKey is where the keys are that wrap the vault's data keys: each 32 random
// bytes in base64. One of the two is set, or there is no vault.
type MasterKey struct {
	// Text is one key, of 32 random bytes in base64; with File there may be several.
	Text string `env:"PROVISIONER_MASTER_KEY"`
	// File has a key a line: the first is the current one, the others may still
	// unwrap. It is read each time: a new first line counts at once, and `rdev
	// credentials rotate-master` then wraps by it what the others wrapped.
	File string `env:"PROVISIONER_MASTER_KEY_FILE"`
}

// noVault says to whoever needs the vault what to set.
const noVault = "there is no vault: set PROVISIONER_MASTER_KEY_FILE, or PROVISIONER_MASTER_KEY, of the provisioner " +
	"to a master key, as `openssl rand -base64 32` makes one, and keep it: nothing else opens what it encrypts"

// keyring is nil where there is no master key.
func (m MasterKey) keyring() (app.KMS, error) {
	switch {
	case m.Text != "" && m.File != "":
		return nil, errors.New("PROVISIONER_MASTER_KEY and PROVISIONER_MASTER_KEY_FILE are both set: one has to be empty")
	case m.Text != "":
		return vault.FromText("PROVISIONER_MASTER_KEY", m.Text), nil
	case m.File != "":
		return vault.FromFile("PROVISIONER_MASTER_KEY_FILE "+m.File, m.File), nil
	}
	return nil, nil
}

// openVault is nil where there is no master key. One that is not the vault's is an
// error.
func openVault(ctx context.Context, key MasterKey, pool *pgxpool.Pool, conn *bus.Conn) (*app.Vault, error) {
	keyring, err := key.keyring()
	if err != nil || keyring == nil {
		return nil, err
	}
	v := &app.Vault{
		Operations: conn, Projects: conn, Credentials: postgres.Credentials{Pool: pool}, DataKeys: postgres.DataKeys{Pool: pool},
		KMS: keyring, Cipher: vault.Cipher{}, Actor: bus.ActorOf,
	}
	return v, v.Check(ctx)
}
