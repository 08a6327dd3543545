package domain

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"hash"
	"hash/crc32"
	"strings"
	"sync"
)

// The secret of an API key is
//
//	rdev_ + 12 characters by which it is found + 43 that nobody can guess + 6 of a checksum
//
// of the digits and letters. The checksum finds a secret that was copied badly, and
// lets a scanner of source code tell it from other text.
const (
	secretMark  = "rdev_"
	foundBy     = 12
	guarded     = 43 // log2(62^43) is 256 bits
	checksummed = 6
	alphabet    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// ErrNoSecret is returned for text that is no secret of an API key.
var ErrNoSecret = errors.New("an API key begins with rdev_ and has 66 characters; this one is damaged or something else")

// NewSecret makes a secret.
func NewSecret() string {
	text := secretMark + randomText(foundBy+guarded)
	return text + checksum(text)
}

// PrefixOf is the beginning of a secret by which it is found, or ErrNoSecret.
func PrefixOf(secret string) (string, error) {
	const whole = len(secretMark) + foundBy + guarded
	if len(secret) != whole+checksummed || !strings.HasPrefix(secret, secretMark) || checksum(secret[:whole]) != secret[whole:] {
		return "", ErrNoSecret
	}
	return secret[:len(secretMark)+foundBy], nil
}

func randomText(length int) string {
	text := make([]byte, 0, length)
	for len(text) < length {
		var some [64]byte
		_, _ = rand.Read(some[:]) // never fails
		for _, b := range some {
			// 248 is the last multiple of 62: no letter is likelier than another.
			if b < 248 && len(text) < length {
				text = append(text, alphabet[b%62])
			}
		}
	}
	return string(text)
}

func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	var digits [checksummed]byte
	for i := range digits {
		digits[checksummed-1-i] = alphabet[sum%62]
		sum /= 62
	}
	return string(digits[:])
}

// Pepper is the secret of the gateways under which they hash those of keys.
type Pepper struct{ macs *sync.Pool }

// MinPepper is the least that a pepper has, in bytes.
const MinPepper = 32

// NewPepper is safe for concurrent use.
func NewPepper(secret []byte) Pepper {
	return Pepper{&sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

// Hash is what is kept of a secret.
func (p Pepper) Hash(secret string) []byte { return p.sum(secret, nil) }

// Matches compares a secret with what was kept of it, in constant time.
func (p Pepper) Matches(secret string, kept []byte) bool {
	var sum [sha256.Size]byte
	return hmac.Equal(p.sum(secret, sum[:0]), kept)
}

func (p Pepper) sum(secret string, to []byte) []byte {
	mac := p.macs.Get().(hash.Hash) //nolint:forcetypeassert // there is nothing else in it
	defer p.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(secret))
	return mac.Sum(to)
}
