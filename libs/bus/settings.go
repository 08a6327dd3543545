package bus

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// Settings are how NATS is reached: what the Config of every service holds of
// it, as NATS.
type Settings struct {
	// URL is where JetStream listens: nats://[user:password@]host:port[,…], or
	// tls://… where nothing but TLS will do.
	URL string `env:"NATS_URL" envDefault:"nats://127.0.0.1:4222"`
	// CAFile holds the certificate authorities, in PEM, that vouch for the servers;
	// those of the machine where empty. With it nothing but TLS will do. It is read
	// with every connection.
	CAFile string `env:"NATS_CA_FILE"`
	// NKeyFile holds the seed, SU…, of the nkey that the servers know the service
	// by; none where empty. It is read with every connection, but a seed of another
	// key needs another process.
	NKeyFile string `env:"NATS_NKEY_FILE"`

	// More are further options, as an in-process server's.
	More []nats.Option `env:"-"`
}

// options are those of the client, or what is wrong with the settings.
func (s Settings) options() ([]nats.Option, error) {
	withUser, err := s.check()
	if err != nil {
		return nil, fmt.Errorf("NATS_URL: %w", err)
	}
	var all []nats.Option
	if s.CAFile != "" {
		if _, err := os.ReadFile(s.CAFile); err != nil {
			return nil, fmt.Errorf("NATS_CA_FILE: %w", err)
		}
		all = append(all, nats.RootCAs(s.CAFile))
	}
	if s.NKeyFile != "" {
		if withUser {
			return nil, errors.New("NATS_NKEY_FILE and a user in NATS_URL exclude each other")
		}
		key, err := nats.NkeyOptionFromSeed(s.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("NATS_NKEY_FILE %s: %w", s.NKeyFile, err)
		}
		all = append(all, key)
	}
	return append(all, s.More...), nil
}

// check refuses a URL that is none of NATS, and tells whether it names a user.
func (s Settings) check() (withUser bool, err error) {
	for one := range strings.SplitSeq(s.URL, ",") {
		parsed, err := url.Parse(strings.TrimSpace(one))
		if wrong, ok := errors.AsType[*url.Error](err); ok {
			return false, wrong.Err // the rest of it is the URL, with its password
		}
		if err != nil {
			return false, err
		}
		if parsed.Scheme != "nats" && parsed.Scheme != "tls" || parsed.Host == "" {
			return false, fmt.Errorf("%q is neither nats://host:port nor tls://host:port", parsed.Redacted())
		}
		withUser = withUser || parsed.User != nil
	}
	return withUser, nil
}

// redacted is the URL without passwords.
func (s Settings) redacted() string {
	var all []string
	for one := range strings.SplitSeq(s.URL, ",") {
		if parsed, err := url.Parse(strings.TrimSpace(one)); err == nil {
			all = append(all, parsed.Redacted())
		}
	}
	return strings.Join(all, ",")
}
