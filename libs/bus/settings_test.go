package bus_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/testkit"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test " + rand.Text()},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a authority) sign(t *testing.T) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// newSeed is a seed and the public key that the server knows it by.
func newSeed(t *testing.T) (seed []byte, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	if seed, err = pair.Seed(); err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return seed, public
}

func file(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guardedServer speaks TLS only and knows users by their nkeys.
func guardedServer(t *testing.T, certificate tls.Certificate, port int, users ...string) *server.Server {
	t.Helper()
	options := &server.Options{
		Host: "127.0.0.1", Port: port,
		TLS: true, TLSTimeout: 2, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	for _, public := range users {
		options.Nkeys = append(options.Nkeys, &server.NkeyUser{Nkey: public})
	}
	return testkit.NATSServer(t, options)
}

// journal is a log that a test reads while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *journal) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *journal) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(strings.ToLower(l.text.String()), what)
}

// connect tries for as long as a service that is refused several times would.
func connect(t *testing.T, settings bus.Settings) (*bus.Conn, *journal, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	log := &journal{}
	c, err := bus.Connect(ctx, bus.Options{NATS: settings, Service: "audit", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, log, err
}

func TestTheRightKeyAndTheRightAuthorityLetAServiceIn(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	seed, public := newSeed(t)
	address := guardedServer(t, ours.sign(t), -1, public).Addr().String()
	for _, scheme := range []string{"nats://", "tls://"} {
		c, log, err := connect(t, bus.Settings{URL: scheme + address, CAFile: file(t, ours.pem), NKeyFile: file(t, seed)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ready(within(t)); err != nil || log.count("level=warn") != 0 {
			t.Errorf("%v, log %s", err, &log.text)
		}
		if state, err := c.NATS().TLSConnectionState(); err != nil || !state.HandshakeComplete {
			t.Errorf("no TLS: %v", err)
		}
	}
}

func TestWhatKeepsAServiceOutIsLoggedOnceAndReturned(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t), newAuthority(t)
	seed, public := newSeed(t)
	stranger, _ := newSeed(t)
	address := guardedServer(t, ours.sign(t), -1, public).Addr().String()
	open := testkit.NATS(t).URL()
	for want, settings := range map[string]bus.Settings{
		"authorization violation":            {URL: "tls://" + address, CAFile: file(t, ours.pem), NKeyFile: file(t, stranger)},
		"authorization":                      {URL: "tls://" + address, CAFile: file(t, ours.pem)},
		"certificate signed by unknown":      {URL: "nats://" + address, CAFile: file(t, other.pem), NKeyFile: file(t, seed)},
		"signed by unknown authority":        {URL: "tls://" + address, NKeyFile: file(t, seed)},
		"secure connection not available":    {URL: open, CAFile: file(t, ours.pem)},
		"nkeys not supported by the server":  {URL: open, NKeyFile: file(t, seed)},
		"127.0.0.1:1: connect: connection r": {URL: "nats://u:secret@127.0.0.1:1"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, log, err := connect(t, settings)
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), want) || !strings.HasPrefix(err.Error(), "connect to NATS at ") {
				t.Errorf("got %v", err)
			}
			if n := log.count("nats cannot be reached"); n != 1 || log.count(want) != 1 || log.count("secret") != 0 {
				t.Errorf("%d lines in\n%s", n, &log.text)
			}
		})
	}
}

func TestSettingsThatCannotWorkFailAtOnce(t *testing.T) {
	t.Parallel()
	seed, _ := newSeed(t)
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	notAUser, err := account.Seed()
	if err != nil {
		t.Fatal(err)
	}
	const url = "nats://127.0.0.1:1"
	for want, settings := range map[string]bus.Settings{
		"NATS_CA_FILE: open /missing: no such file":                {URL: url, CAFile: "/missing"},
		"failed to parse root certificate":                         {URL: url, CAFile: file(t, []byte("nonsense"))},
		"NATS_NKEY_FILE /missing: nats: open /missing: no such":    {URL: url, NKeyFile: "/missing"},
		"no nkey seed found":                                       {URL: url, NKeyFile: file(t, nil)},
		"Not a valid nkey user seed":                               {URL: url, NKeyFile: file(t, notAUser)},
		"NATS_NKEY_FILE and a user in NATS_URL exclude each other": {URL: "nats://u:secret@h:1", NKeyFile: file(t, seed)},
		`NATS_URL: "" is neither`:                                  {},
		`NATS_URL: "http://u:xxxxx@h" is neither`:                  {URL: url + ",http://u:secret@h"},
		"NATS_URL: invalid port":                                   {URL: "nats://u:secret@h:port"},
	} {
		begin := time.Now()
		_, _, err := connect(t, settings)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want %q, got %v", want, err)
		}
		if time.Since(begin) > time.Second {
			t.Errorf("%q took %s", want, time.Since(begin))
		}
	}
}

func TestAServiceComesBackOnceItsKeyIsKnownAgainAndTheAuthorityIsReadAgain(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t), newAuthority(t)
	seed, public := newSeed(t)
	_, other := newSeed(t)
	s := guardedServer(t, first.sign(t), -1, public)
	port := s.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // a server listens on TCP
	settings := bus.Settings{URL: "tls://" + s.Addr().String(), CAFile: file(t, first.pem), NKeyFile: file(t, seed)}
	c, log, err := connect(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	restart := func(certificate tls.Certificate, user string) {
		s.Shutdown()
		s.WaitForShutdown()
		s = guardedServer(t, certificate, port, user)
	}
	ready := func() error { return c.Ready(within(t)) }
	out := func(why string) {
		t.Helper()
		testkit.Eventually(t, func() error {
			if err := ready(); err == nil || !strings.Contains(err.Error(), why) {
				return fmt.Errorf("not out because of %q: %w", why, err)
			}
			return nil
		})
	}

	restart(first.sign(t), other)
	out("uthorization")
	// The client by itself would give up after two refusals.
	testkit.Eventually(t, func() error {
		if state, err := s.Varz(nil); err != nil || state.TotalConnections < 4 {
			return fmt.Errorf("too few attempts (%w)", err)
		}
		return nil
	})
	restart(first.sign(t), public)
	testkit.Eventually(t, ready)

	restart(second.sign(t), public)
	out("unknown authority")
	if err := os.WriteFile(settings.CAFile, second.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, ready)
	if log.count("nats cannot be reached") == 0 || log.count("nats connected again") != 2 {
		t.Errorf("log:\n%s", &log.text)
	}
}
