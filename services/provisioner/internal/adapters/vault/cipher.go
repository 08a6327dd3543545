package vault

import (
	"crypto/rand"
	"fmt"
	"strconv"

	"golang.org/x/crypto/nacl/box"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Cipher implements app.Cipher: AES-256-GCM for values, anonymous NaCl boxes for
// messages.
type Cipher struct{}

// NewKey implements app.Cipher.
func (Cipher) NewKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails
	return key
}

// Seal implements app.Cipher.
func (Cipher) Seal(key []byte, c app.SealedCredential, value string) (app.SealedCredential, error) {
	var err error
	c.Nonce, c.Ciphertext, err = seal(key, placeOf(c), []byte(value))
	if err != nil {
		return c, fmt.Errorf("encrypt %s: %w", c.Name, err)
	}
	return c, nil
}

// Open implements app.Cipher.
func (Cipher) Open(key []byte, c app.SealedCredential) (string, error) {
	value, err := open(key, placeOf(c), c.Nonce, c.Ciphertext)
	if err != nil {
		return "", fmt.Errorf("decrypt version %d of %s of project %q: %w", c.Version, c.Name, c.Project, err)
	}
	return string(value), nil
}

// placeOf is the row of a value. Who may have the value is part of it: whoever can
// write to the table cannot give it to another project.
func placeOf(c app.SealedCredential) []byte {
	return place(append([]string{"credential", c.DataKey, c.Project, c.Name, strconv.Itoa(c.Version)}, c.Projects...)...)
}

// SealTo implements app.Cipher.
func (Cipher) SealTo(publicKey, message []byte) ([]byte, error) {
	var recipient [32]byte
	if len(publicKey) != len(recipient) {
		return nil, fmt.Errorf("a public key has %d bytes, not %d", len(recipient), len(publicKey))
	}
	copy(recipient[:], publicKey)
	sealed, err := box.SealAnonymous(nil, message, &recipient, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seal to a public key: %w", err)
	}
	return sealed, nil
}
