package provisioner_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
)

// gate stands before systems, and counts what comes through: at one of these boundaries it
// kills the process that asks.
type gate struct {
	t testing.TB

	mu      sync.Mutex
	count   int
	killAt  int // 0 for never
	process *os.Process
	refuses string // part of the path of requests that are refused
	dead    chan struct{}
}

// victim is who is killed.
func (g *gate) victim(process *os.Process) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.process = process
}

// set begins to count anew. The channel is closed once the process was killed.
func (g *gate) set(killAt int, refuses string) (dead <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count, g.killAt, g.refuses, g.dead = 0, killAt, refuses, make(chan struct{})
	return g.dead
}

// passed is how many boundaries there were.
func (g *gate) passed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count
}

// pass is a boundary.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.count++; g.count == g.killAt {
		_ = g.process.Kill()
		close(g.dead)
	}
}

func (g *gate) refused(path string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refuses != "" && strings.Contains(path, g.refuses)
}

// http is the address of a gate before a server: there is a boundary before each request,
// and one after it.
func (g *gate) http(address string) string {
	target, err := url.Parse(address)
	if err != nil {
		g.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host}) },
		ModifyResponse: func(*http.Response) error { g.pass(); return nil },
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.pass()
		if g.refused(r.Method + " " + r.URL.Path) {
			http.Error(w, "not for you", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	g.t.Cleanup(server.Close)
	return server.URL + target.Path
}

// tcp is the URL of a gate before a server of another protocol: each connection is a
// boundary, and so is each time that the client says something.
func (g *gate) tcp(address string) string {
	target, err := url.Parse(address)
	if err != nil {
		g.t.Fatal(err)
	}
	network, host := "tcp", target.Host
	query := target.Query()
	if dir := query.Get("host"); strings.HasPrefix(dir, "/") {
		network, host = "unix", dir+"/.s.PGSQL."+query.Get("port")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go g.connect(client, network, host)
		}
	}()
	query.Del("host")
	query.Del("port")
	target.Host, target.RawQuery = listener.Addr().String(), query.Encode()
	return target.String()
}

func (g *gate) connect(client net.Conn, network, host string) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial(network, host)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		g.pass()
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}
