package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/gateway"
)

func TestTheAPIIsServedOverTLS(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.cfg.TLSCert, w.cfg.TLSKey = testkit.Certificate(t, dir, 1)
	text, err := os.ReadFile(w.cfg.TLSCert)
	if err != nil {
		t.Fatal(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(text)
	for protocol, config := range map[string]*http.Transport{
		"HTTP/2.0": {ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: authorities}},
		"HTTP/1.1": {TLSClientConfig: &tls.Config{RootCAs: authorities}},
	} {
		t.Run(protocol, func(t *testing.T) {
			address := w.serveTLS(t, config)
			client := &http.Client{Transport: config, Timeout: testkit.Patience}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/events", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-API-Key", w.key)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			first := make([]byte, 4)
			if _, err := response.Body.Read(first); err != nil || response.Proto != protocol || string(first) != "id: " {
				t.Errorf("%s, %q, %v", response.Proto, first, err)
			}
			for name, want := range map[string]string{
				"Strict-Transport-Security": "max-age=31536000", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
				"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "",
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// serveTLS starts a gateway and returns its URL.
func (w *world) serveTLS(t *testing.T, transport *http.Transport) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.cfg
	cfg.Listener = listener
	testkit.Serve(t, gateway.Run, cfg)
	url := "https://" + listener.Addr().String()
	client := &http.Client{Transport: transport, Timeout: testkit.Patience}
	testkit.Eventually(t, func() error {
		response, err := client.Get(url + "/ready")
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", response.Status)
		}
		return nil
	})
	return url
}

func TestABodyThatComesByteByByteIsNotWaitedForForEver(t *testing.T) {
	w := newWorld(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	head := "POST /projects HTTP/1.1\r\nHost: x\r\nX-API-Key: " + w.key + "\r\nContent-Length: 100000\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for tick := time.Tick(500 * time.Millisecond); ; <-tick {
			if _, err := conn.Write([]byte(" ")); err != nil {
				return
			}
		}
	}()
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	if text := string(answer[:n]); err != nil || !strings.HasPrefix(text, "HTTP/1.1 400") || !strings.Contains(text, "did not arrive within") {
		t.Errorf("%v, %q", err, text)
	}
}
