package deploy

import (
	"fmt"

	"github.com/nats-io/nkeys"

	"github.com/orchard9/rdev/libs/bus/access"
)

// natsSecrets are the certificate of the NATS servers, the seed of each user's
// nkey, and who may do what.
func natsSecrets(o Options, a *authority) ([]Secret, error) {
	// A wildcard for the peers: each server is called by its own name.
	hosts := append(serviceHosts("nats", o.Namespace), serviceHosts("*.nats-peers", o.Namespace)...)
	certificate, key, err := a.issue("nats", append(hosts, "localhost", "127.0.0.1", "::1")...)
	if err != nil {
		return nil, err
	}
	secrets := []Secret{
		secret("rdev-nats-tls", map[string]string{"ca.crt": a.pem, "tls.crt": certificate, "tls.key": key}),
	}
	var all []user
	for _, u := range access.Users() {
		seed, public, err := newUser()
		if err != nil {
			return nil, fmt.Errorf("make the NATS user %s: %w", u.Name, err)
		}
		all = append(all, user{User: u, nkey: public})
		secrets = append(secrets, secret("rdev-nats-"+u.Name, map[string]string{"seed": seed}))
	}
	return append(secrets, secret("rdev-nats-auth", map[string]string{"auth.conf": authorization(all)})), nil
}

// newUser makes an nkey.
func newUser() (seed, public string, err error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", "", err
	}
	defer pair.Wipe()
	secret, err := pair.Seed()
	if err != nil {
		return "", "", err
	}
	public, err = pair.PublicKey()
	return string(secret), public, err
}
