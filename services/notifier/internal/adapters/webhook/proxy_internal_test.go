package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// tunnels is an HTTP proxy that connects to one server whatever it is asked for.
type tunnels struct {
	*httptest.Server
	status int

	mu    sync.Mutex
	to    string
	asked []string // "CONNECT 93.184.215.14:443 Basic …"
}

func proxied(t testing.TB, to string, encrypted bool) *tunnels {
	t.Helper()
	p := &tunnels{to: to, status: http.StatusOK}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	if encrypted {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	return p
}

func (p *tunnels) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization")))
	to := p.to
	p.mu.Unlock()
	if p.status != http.StatusOK {
		w.WriteHeader(p.status)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	server, err := new(net.Dialer).DialContext(context.WithoutCancel(r.Context()), "tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

func (p *tunnels) leadTo(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = address
}

func (p *tunnels) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

// at is the proxy's URL with a user.
func (p *tunnels) at(t testing.TB) Option {
	t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("rdev", "p:w")
	if err := CheckProxy(u); err != nil {
		t.Fatal(err)
	}
	return Proxy(u)
}

const basic = " Basic cmRldjpwOnc="

func TestAProxyIsAskedForAddressesThatWereChecked(t *testing.T) {
	hosts, names := make(chan string, 1), make(chan string, 1)
	tell := func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }
	server := httptest.NewUnstartedServer(http.HandlerFunc(tell))
	server.TLS = &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		names <- hello.ServerName
		return nil, nil
	}}
	server.StartTLS()
	defer server.Close()
	plain := serve(t, tell)
	for _, encrypted := range []bool{false, true} {
		p := proxied(t, server.Listener.Addr().String(), encrypted)
		dns := resolving(addresses("93.184.215.14", "2606:4700::1111"))
		s := newSender(t, domain.Targets{}, seams(dns, nil), p.at(t), trusting(server))
		if outcome := post(t, s, "https://example.com/hook"); outcome.Err != nil || outcome.Status != http.StatusOK {
			t.Fatalf("got %+v", outcome)
		}
		host, name := <-hosts, <-names
		if asked := p.take(); !slices.Equal(asked, []string{"CONNECT 93.184.215.14:443" + basic}) || host != "example.com" || name != "example.com" || len(dns.asked) != 1 {
			t.Errorf("the proxy was asked for %q, the server for %q and %q, DNS for %q", asked, name, host, dns.asked)
		}
		// What is not encrypted goes through a tunnel, too.
		p.leadTo(plain.Listener.Addr().String())
		if outcome := post(t, s, "http://plain.example.com:8080/hook"); outcome.Err != nil || outcome.Status != http.StatusOK {
			t.Fatalf("got %+v", outcome)
		}
		host = <-hosts
		if asked := p.take(); !slices.Equal(asked, []string{"CONNECT 93.184.215.14:8080" + basic}) || host != "plain.example.com:8080" {
			t.Errorf("the proxy was asked for %q, the server for %q", asked, host)
		}
	}
}

func TestAProxyIsNeverAskedForWhatIsWithin(t *testing.T) {
	p := proxied(t, "127.0.0.1:1", false)
	for _, answer := range [][]netip.Addr{addresses("127.0.0.1"), addresses("93.184.215.14", "10.0.0.1"), addresses("::ffff:169.254.169.254")} {
		s := newSender(t, domain.Targets{}, seams(resolving(answer), nil), p.at(t))
		for _, url := range append(known(t, "refused.txt"), known(t, "names.txt")...) {
			if outcome := post(t, s, url); outcome.Err == nil {
				t.Errorf("%q: got %+v", url, outcome)
			}
		}
	}
	if asked := p.take(); len(asked) > 0 {
		t.Errorf("the proxy was asked for %q", asked)
	}
}

func TestTLSIsVerifiedThroughAProxy(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	plain := proxied(t, server.Listener.Addr().String(), false)
	encrypted := proxied(t, server.Listener.Addr().String(), true)
	elsewhere, err := url.Parse(strings.Replace(encrypted.URL, "127.0.0.1", "localhost", 1))
	if err != nil {
		t.Fatal(err)
	}
	dns := seams(resolving(addresses("93.184.215.14")), nil)
	for _, c := range []struct {
		name, url string
		options   []Option
	}{
		{"endpoint by an unknown authority", "https://example.com", []Option{dns, plain.at(t)}},
		{"endpoint of another name", "https://another.example.org", []Option{dns, plain.at(t), trusting(server)}},
		{"proxy by an unknown authority", "http://example.com", []Option{dns, encrypted.at(t)}},
		{"proxy of another name", "http://example.com", []Option{dns, Proxy(elsewhere), trusting(server)}},
	} {
		if outcome := post(t, newSender(t, domain.Targets{}, c.options...), c.url); outcome.Err == nil || !strings.Contains(outcome.Err.Error(), "certificate") {
			t.Errorf("%s: got %+v, want its certificate refused", c.name, outcome)
		}
	}
}

func TestAProxyThatFailsIsToldFromTheEndpoint(t *testing.T) {
	dns := resolving(addresses("93.184.215.14"))
	refuses := proxied(t, "", false)
	refuses.status = http.StatusForbidden
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	talks := raw(t, func(conn net.Conn, _ int) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")
	})
	for address, want := range map[string]string{
		refuses.URL: "proxy: ask for 93.184.215.14:443: answered 403", "http://" + silent.Addr().String(): "i/o timeout", talks: "proxy: ask for",
		"https://" + silent.Addr().String(): "i/o timeout", "http://127.0.0.1:1": "proxy: dial",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		outcome := post(t, newSender(t, domain.Targets{}, hasty, seams(dns, nil), Proxy(u)), "https://example.com")
		if outcome.Err == nil || !strings.Contains(outcome.Err.Error(), want) || outcome.Status != 0 || errors.Is(outcome.Err, domain.ErrTargetNotAllowed) {
			t.Errorf("%s: got %+v, want %q", address, outcome, want)
		}
	}
}

func TestOnlyAnHTTPProxyIsOne(t *testing.T) {
	for address, want := range map[string]bool{
		"http://proxy": true, "http://proxy:3128/": true, "https://u:p@proxy:443": true,
		"socks5://proxy": false, "proxy:3128": false, "http://": false, "http://:3128": false, "http://proxy/path": false, "http://proxy?x": false, "": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckProxy(u); (err == nil) != want {
			t.Errorf("%q: %v, want it accepted: %t", address, err, want)
		}
	}
}
