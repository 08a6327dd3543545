// Package vault is the cryptography of the vault: values under data keys, data
// keys under master keys, and messages for an executor.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	keySize   = 32 // AES-256
	nonceSize = 12
)

// errForged is returned where what is decrypted is not what was encrypted, or not
// under this key, or not in this place.
var errForged = errors.New("was changed, or does not belong here")

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("a key has %d bytes, not %d", keySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("AES: %w", err)
	}
	return cipher.NewGCM(block)
}

// seal encrypts text under a key and a fresh nonce, bound to a place.
func seal(key, place, text []byte) (nonce, ciphertext []byte, err error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, nil, err
	}
	nonce = make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails
	return nonce, aead.Seal(nil, nonce, text, place), nil
}

// open returns the text that seal was given, or errForged.
func open(key, place, nonce, ciphertext []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	if len(nonce) != nonceSize {
		return nil, errForged
	}
	text, err := aead.Open(nil, nonce, ciphertext, place)
	if err != nil {
		return nil, errForged
	}
	return text, nil
}

// place names where a ciphertext belongs. Each part comes with its length, so that
// no two places look alike.
func place(parts ...string) []byte {
	var name []byte
	for _, part := range parts {
		name = binary.AppendUvarint(name, uint64(len(part)))
		name = append(name, part...)
	}
	return name
}
