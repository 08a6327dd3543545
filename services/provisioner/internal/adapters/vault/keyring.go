package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Keyring implements app.KMS with master keys that this process has. The first is
// the current one; what the others wrapped it may still unwrap.
type Keyring struct {
	source string // how an operator knows it
	read   func() ([]byte, error)
}

// FromText is a keyring of keys in base64, one a line. source is what errors call it.
func FromText(source, text string) Keyring {
	return Keyring{source: source, read: func() ([]byte, error) { return []byte(text), nil }}
}

// FromFile is a keyring of the keys in a file, in base64, one a line. It is read
// each time, so that a key can be added without a restart.
func FromFile(source, path string) Keyring {
	return Keyring{source: source, read: func() ([]byte, error) { return os.ReadFile(path) }}
}

// masterKey is one, with its id.
type masterKey struct {
	id  string
	key []byte
}

// keys are those that there are now, at least one.
func (k Keyring) keys() ([]masterKey, error) {
	text, err := k.read()
	if err != nil {
		return nil, fmt.Errorf("%s: read the master keys: %w", k.source, err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.source, err)
	}
	return keys, nil
}

// parseKeys reads lines of base64. Its errors never repeat a line.
func parseKeys(text []byte) ([]masterKey, error) {
	var keys []masterKey
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		key, err := base64.StdEncoding.Strict().DecodeString(string(line))
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("line %d is not a key of %d bytes in base64, as `openssl rand -base64 %[2]d` makes one", number, keySize)
		}
		sum := sha256.Sum256(key)
		keys = append(keys, masterKey{id: hex.EncodeToString(sum[:8]), key: key})
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no master key")
	}
	return keys, nil
}

// Current implements app.KMS.
func (k Keyring) Current(context.Context) (string, error) {
	keys, err := k.keys()
	if err != nil {
		return "", err
	}
	return keys[0].id, nil
}

// Wrap implements app.KMS.
func (k Keyring) Wrap(_ context.Context, id string, key []byte) (string, []byte, error) {
	keys, err := k.keys()
	if err != nil {
		return "", nil, err
	}
	current := keys[0]
	nonce, ciphertext, err := seal(current.key, place("data key", id), key)
	if err != nil {
		return "", nil, fmt.Errorf("wrap data key %s: %w", id, err)
	}
	return current.id, append(nonce, ciphertext...), nil
}

// Unwrap implements app.KMS.
func (k Keyring) Unwrap(_ context.Context, stored app.DataKey) ([]byte, error) {
	keys, err := k.keys()
	if err != nil {
		return nil, err
	}
	for _, master := range keys {
		if master.id == stored.MasterKey {
			key, err := unwrap(master.key, stored)
			if err != nil {
				return nil, fmt.Errorf("unwrap data key %s with master key %s: %w", stored.ID, master.id, err)
			}
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s: data key %s was wrapped with master key %s, which is not there (the current one is %s): "+
		"add it as a further line; what it wrapped is lost without it", k.source, stored.ID, stored.MasterKey, keys[0].id)
}

func unwrap(master []byte, stored app.DataKey) ([]byte, error) {
	if len(stored.Wrapped) < nonceSize {
		return nil, errForged
	}
	return open(master, place("data key", stored.ID), stored.Wrapped[:nonceSize], stored.Wrapped[nonceSize:])
}
