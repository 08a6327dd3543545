// Package deploy makes the secrets of a fresh installation on Kubernetes: what
// deployments/kubernetes refers to and does not contain.
package deploy

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
)

// Options say what the secrets are for.
type Options struct {
	// Namespace is where the services are.
	Namespace string
	// DatabaseURL is that of a PostgreSQL elsewhere, for all services and their
	// migrations; empty for the one of components/postgres.
	DatabaseURL string
}

func (o Options) check() error {
	if len(o.Namespace) > 63 || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`).MatchString(o.Namespace) {
		return fmt.Errorf("%q is not the name of a namespace", o.Namespace)
	}
	if o.DatabaseURL == "" {
		return nil
	}
	// What url.Parse says of a URL that it cannot read has the password in it.
	parsed, err := url.Parse(o.DatabaseURL)
	if err != nil || parsed.Scheme != "postgres" && parsed.Scheme != "postgresql" || parsed.Host == "" {
		return errors.New("the URL of the database is not postgres://user:password@host/database")
	}
	return nil
}

// Installation is the secrets of one, all made together.
type Installation struct {
	Secrets []Secret
}

// New makes secrets that nobody has had before.
func New(o Options) (Installation, error) {
	if err := o.check(); err != nil {
		return Installation{}, err
	}
	a, err := newAuthority()
	if err != nil {
		return Installation{}, err
	}
	made := Installation{Secrets: []Secret{
		secret("rdev-key-pepper", map[string]string{"pepper": random()}),
		secret("rdev-master-key", map[string]string{"keys": masterKey()}),
	}}
	for _, of := range []func(Options, *authority) ([]Secret, error){natsSecrets, databaseSecrets} {
		secrets, err := of(o, a)
		if err != nil {
			return Installation{}, err
		}
		made.Secrets = append(made.Secrets, secrets...)
	}
	for i := range made.Secrets {
		made.Secrets[i].Metadata.Namespace = o.Namespace
	}
	return made, nil
}

// masterKey is the vault's first, as the provisioner reads it.
func masterKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key) + "\n"
}

// random is 256 bits that nobody can guess, in hexadecimal.
func random() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}
