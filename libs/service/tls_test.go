package service_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/libs/testkit"
)

// serial is that of the certificate that a server shows.
func serial(t *testing.T, address string, versions *tls.Config) (int64, error) {
	t.Helper()
	versions.InsecureSkipVerify = true
	conn, err := (&tls.Dialer{Config: versions}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil //nolint:forcetypeassert // it is one
}

func TestACertificateIsRenewedWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := testkit.Certificate(t, dir, 1)
	config, err := service.TLS(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = conn.(*tls.Conn).HandshakeContext(t.Context()) //nolint:forcetypeassert // it is one
				_ = conn.Close()
			}()
		}
	}()
	shows := func(want int64) {
		t.Helper()
		testkit.Eventually(t, func() error {
			if got, err := serial(t, listener.Addr().String(), &tls.Config{}); err != nil || got != want {
				return fmt.Errorf("it shows %d, want %d (%w)", got, want, err)
			}
			return nil
		})
	}
	shows(1)
	testkit.Certificate(t, dir, 2)
	shows(2)
	// A broken file changes nothing, until it is mended.
	if err := os.WriteFile(certFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	shows(2)
	testkit.Certificate(t, dir, 3)
	shows(3)
	if _, err := serial(t, listener.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestACertificateThatCannotBeReadIsToldAtTheStart(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := testkit.Certificate(t, dir, 1)
	other, _ := testkit.Certificate(t, t.TempDir(), 2)
	for _, files := range [][2]string{{certFile, ""}, {"", keyFile}, {certFile, filepath.Join(dir, "none")}, {other, keyFile}, {keyFile, certFile}} {
		if _, err := service.TLS(files[0], files[1], slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%q is taken", files)
		}
	}
}
