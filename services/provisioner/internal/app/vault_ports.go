package app

import (
	"context"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// ProjectCredentials are what a deleted project must not leave to the next one of
// its name.
type ProjectCredentials interface {
	// Forget removes all credentials of a project. A Put that began before has
	// ended, and one that comes after decides by what it then finds.
	Forget(ctx context.Context, project string) error
}

// Credentials keeps credentials, their values encrypted.
type Credentials interface {
	ProjectCredentials
	// Put stores what decide makes of a credential as it is now, nil where there is
	// none. No other Put into the project, and no Forget of it, comes in between.
	Put(ctx context.Context, project, name string, decide func(context.Context, *SealedCredential) (SealedCredential, error)) error
	// Delete removes a credential, or returns contract.ErrNotFound.
	Delete(ctx context.Context, project, name string) error
	// List returns up to limit credentials of a project, or of the installation
	// where it is "", sorted by name, from the first after the name given.
	List(ctx context.Context, project, after string, limit int) ([]contract.Credential, error)
	// Named returns the credentials of a project, and of the installation, that have
	// one of the names.
	Named(ctx context.Context, project string, names []string) ([]SealedCredential, error)
}

// SealedCredential is a credential with its value, which only its data key opens.
type SealedCredential struct {
	contract.Credential

	DataKey    string // id
	Nonce      []byte
	Ciphertext []byte
}

// DataKeys keeps data keys, as master keys wrapped them.
type DataKeys interface {
	// Take returns a data key that a master key wraps and that has encrypted fewer
	// than limit values, and counts one more; contract.ErrNotFound where none has.
	Take(ctx context.Context, master string, limit int) (DataKey, error)
	// Add adds a data key, for its first value.
	Add(ctx context.Context, key DataKey) error
	// Get returns a data key, or contract.ErrNotFound.
	Get(ctx context.Context, id string) (DataKey, error)
	// Others returns up to limit data keys that another master key wraps, sorted by
	// id, from the first after the id given.
	Others(ctx context.Context, master, after string, limit int) ([]DataKey, error)
	// Rewrap replaces what wraps a data key, and tells whether that was still as old
	// has it.
	Rewrap(ctx context.Context, old, next DataKey) (bool, error)
	// Count returns how many data keys a master key wraps, and how many others do.
	Count(ctx context.Context, master string) (its, others int, err error)
	// OneOfEach returns a data key for each master key that wraps any.
	OneOfEach(ctx context.Context) ([]DataKey, error)
}

// DataKey encrypts the values of credentials. It is stored only in this shape.
type DataKey struct {
	ID        string
	MasterKey string // id of the one that wraps it
	Wrapped   []byte
	CreatedAt time.Time
}

// KMS wraps data keys with master keys that stay where they are.
type KMS interface {
	// Current is the id of the master key that Wrap uses now.
	Current(ctx context.Context) (string, error)
	// Wrap encrypts a data key so that it can be unwrapped under the same id only.
	Wrap(ctx context.Context, id string, key []byte) (master string, wrapped []byte, err error)
	// Unwrap returns what Wrap was given, or why it cannot.
	Unwrap(ctx context.Context, key DataKey) ([]byte, error)
}

// Cipher encrypts values.
type Cipher interface {
	// NewKey makes a data key.
	NewKey() []byte
	// Seal sets Nonce and Ciphertext of a credential. All else that the credential
	// says is bound to the value, but for its times and its actor.
	Seal(key []byte, c SealedCredential, value string) (SealedCredential, error)
	// Open returns the value, or an error where anything was changed.
	Open(key []byte, c SealedCredential) (string, error)
	// SealTo encrypts a message to an X25519 key of 32 bytes.
	SealTo(publicKey, message []byte) ([]byte, error)
}
