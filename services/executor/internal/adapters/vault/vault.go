// Package vault asks the provisioner for the secrets of a run, sealed to a key that
// this process alone has and that ends with it.
package vault

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
)

// answerWithin is how long the vault may take for one answer.
const answerWithin = 5 * time.Second

// errSealed is returned for what this process cannot open or read. What is in it
// stays out of the error.
var errSealed = errors.New("what the vault sealed is not for this process")

// Vault opens the secrets of commands.
type Vault struct {
	conn            *bus.Conn
	public, private *[32]byte
}

var _ app.Vault = (*Vault)(nil)

// New makes the key pair of this process.
func New(conn *bus.Conn) (*Vault, error) {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key for secrets: %w", err)
	}
	return &Vault{conn: conn, public: public, private: private}, nil
}

// Open implements app.Vault. Asking again is harmless.
func (v *Vault) Open(ctx context.Context, op contract.Operation) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	sealed, err := bus.Call[contract.OpenCredentials, contract.SealedCredentials](
		ctx, v.conn, contract.ServiceProvisioner, contract.VerbOpenCredentials,
		contract.OpenCredentials{Operation: op.ID, Attempt: op.Attempt, PublicKey: v.public[:]})
	if err != nil {
		return nil, fmt.Errorf("open the credentials of operation %s: %w", op.ID, err)
	}
	text, ok := box.OpenAnonymous(nil, sealed.Box, v.public, v.private)
	var values map[string]string
	if !ok || json.Unmarshal(text, &values) != nil {
		return nil, fmt.Errorf("open the credentials of operation %s: %w", op.ID, errSealed)
	}
	clear(text)
	return values, nil
}
