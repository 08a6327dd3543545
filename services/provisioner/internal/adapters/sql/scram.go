package sql

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// iterations of SCRAM, as servers have them by default.
const iterations = 4096

// verifierOf is what a server keeps of a password, as it keeps it: the password itself is
// in no statement, and in no log of the server. The password is ASCII.
func verifierOf(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	return verifier(password, salt)
}

// verifier is that of RFC 5803, as PostgreSQL writes it.
func verifier(password string, salt []byte) string {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil { // of a key that is too long
		panic(err)
	}
	sign := func(key []byte, text string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, encode(salt), encode(stored[:]), encode(sign(salted, "Server Key")))
}
