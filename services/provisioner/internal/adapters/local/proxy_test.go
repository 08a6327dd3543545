package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/local"
)

// site is rdev with two projects, shop and blog, at hosts of their names.
type site struct {
	t      *testing.T
	dir    string
	server *httptest.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	w, r := open(t, dir), openRoutes(t, dir, 8080)
	for _, slug := range []string{"shop", "blog"} {
		create(t, w, slug)
		route(t, r, slug, slug+".localhost")
	}
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the API, with the key ", r.Header.Get("X-API-Key"))
	})
	server := httptest.NewServer(local.NewProxy(r.Find, api, testkit.Log(t)))
	t.Cleanup(server.Close)
	server.Client().Transport.(*http.Transport).DisableCompression = true // it asks for none by itself
	return &site{t: t, dir: dir, server: server}
}

// listen has a program of a project listen on its port, at an address of this machine.
func (s *site) listen(slug, address string, handler http.HandlerFunc) *httptest.Server {
	s.t.Helper()
	listener, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", net.JoinHostPort(address, strconv.Itoa(portOf(s.t, s.dir, slug))))
	if err != nil {
		s.t.Fatal(err)
	}
	program := httptest.NewUnstartedServer(handler)
	s.t.Cleanup(program.Close)
	_ = program.Listener.Close() // another takes its place
	program.Listener = listener
	program.Start()
	return program
}

func (s *site) request(method, host, path string, body io.Reader) *http.Request {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Host = host
	return request
}

func (s *site) do(request *http.Request) (status int, body string) {
	s.t.Helper()
	response, err := s.server.Client().Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(data))
}

func (s *site) get(host string) (status int, body string) {
	s.t.Helper()
	return s.do(s.request(http.MethodGet, host, "/", nil))
}

func says(words string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s at %s", words, r.Host) }
}

func TestEachHostLeadsToTheProgramOfItsProject(t *testing.T) {
	s := newSite(t)
	s.listen("shop", "127.0.0.1", says("the shop"))
	blog := s.listen("blog", "127.0.0.1", says("the blog"))
	nobody := fmt.Sprintf("no program of project blog listens on port %d: start one that listens on $PORT", portOf(t, s.dir, "blog"))
	for host, want := range map[string]string{
		"shop.localhost":      "the shop at shop.localhost",
		"SHOP.localhost:8080": "the shop at SHOP.localhost:8080",
		"blog.localhost":      "the blog at blog.localhost",
		"127.0.0.1:8080":      "the API, with the key",
		"localhost":           "the API, with the key",
		"shop.example.com":    "the API, with the key",
	} {
		if status, body := s.get(host); status != http.StatusOK || body != want {
			t.Errorf("%s answers %d %q, want %q", host, status, body, want)
		}
	}
	if status, body := s.get("wiki.localhost"); status != http.StatusNotFound || body != "no project has the host wiki.localhost" {
		t.Errorf("a host of nobody answers %d %q", status, body)
	}
	blog.Close()
	if status, body := s.get("blog.localhost"); status != http.StatusBadGateway || body != nobody {
		t.Errorf("without a program it answers %d %q", status, body)
	}
	s.listen("blog", "::1", says("the new blog")) // as a program that was told to listen at localhost
	if status, body := s.get("blog.localhost"); status != http.StatusOK || body != "the new blog at blog.localhost" {
		t.Errorf("another program answers %d %q", status, body)
	}
}

func TestARequestArrivesAsItWasSentButForTheKeysOfRdev(t *testing.T) {
	s := newSite(t)
	got := make(chan *http.Request, 1)
	s.listen("shop", "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "an order" {
			t.Errorf("the body is %q (%v)", body, err)
		}
		got <- r
	})
	for sent, want := range map[string]string{
		"Bearer rdev_abc": "", "bearer  rdev_abc": "", "Bearer abc": "Bearer abc", "Basic cmRldl8=": "Basic cmRldl8=", "rdev_abc": "rdev_abc", "": "",
	} {
		request := s.request(http.MethodPut, "shop.localhost:8080", "/a%2Fb/../c?x=1;y=%zz&z", strings.NewReader("an order"))
		request.Header = http.Header{
			"X-Api-Key": {"rdev_secret"}, "Cookie": {"basket=1"}, "X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Host": {"evil.example"},
			"Forwarded": {"for=203.0.113.9"},
		}
		encoding := ""
		if sent != "" {
			encoding = "br"
			request.Header.Set("Authorization", sent)
			request.Header.Set("Accept-Encoding", encoding)
		}
		if status, body := s.do(request); status != http.StatusOK {
			t.Fatalf("it answers %d %q", status, body)
		}
		r := <-got
		for name, want := range map[string]string{
			"X-Api-Key": "", "Authorization": want, "Cookie": "basket=1", "Accept-Encoding": encoding, "Forwarded": "",
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "shop.localhost:8080", "X-Forwarded-Proto": "http",
		} {
			if got := strings.Join(r.Header.Values(name), ", "); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if r.Method != http.MethodPut || r.RequestURI != "/a%2Fb/../c?x=1;y=%zz&z" || r.Host != "shop.localhost:8080" {
			t.Errorf("got %s %s at %s", r.Method, r.RequestURI, r.Host)
		}
	}
	if _, body := s.do(func() *http.Request {
		request := s.request(http.MethodGet, "localhost", "/", nil)
		request.Header.Set("X-API-Key", "rdev_secret")
		return request
	}()); body != "the API, with the key rdev_secret" {
		t.Errorf("the API got %q", body)
	}
}

func TestAStreamArrivesPieceByPiece(t *testing.T) {
	s := newSite(t)
	more := make(chan struct{})
	s.listen("shop", "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "8")
		}
		fmt.Fprintln(w, "one")
		w.(http.Flusher).Flush()
		select {
		case <-more:
			fmt.Fprintln(w, "two")
		case <-r.Context().Done():
		}
	})
	for _, length := range []string{"known", "unknown"} {
		t.Run(length, func(t *testing.T) {
			response, err := s.server.Client().Do(s.request(http.MethodGet, "shop.localhost", "/"+length, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			lines := bufio.NewScanner(response.Body)
			if !lines.Scan() || lines.Text() != "one" {
				t.Fatalf("got %q (%v) first", lines.Text(), lines.Err())
			}
			more <- struct{}{} // only now it goes on
			if !lines.Scan() || lines.Text() != "two" {
				t.Fatalf("got %q (%v) then", lines.Text(), lines.Err())
			}
		})
	}
}

func TestAClientThatGoesIsKnownToTheProgram(t *testing.T) {
	s := newSite(t)
	began, ended := make(chan struct{}), make(chan struct{})
	s.listen("shop", "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(ended)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	response, err := s.server.Client().Do(s.request(http.MethodGet, "shop.localhost", "/", nil).WithContext(ctx))
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestAConnectionThatIsUpgradedGoesBothWays(t *testing.T) {
	s := newSite(t)
	s.listen("shop", "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		for {
			line, err := buffered.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(conn, "echo ", line)
		}
	})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("got %v", response)
	}
	for _, word := range []string{"a\n", "b\n"} {
		fmt.Fprint(conn, word)
		if line, err := in.ReadString('\n'); line != "echo "+word {
			t.Fatalf("got %q (%v)", line, err)
		}
	}
}

// TestNothingButThePortsOfProjectsIsReached asks as one does who looks for an open proxy.
func TestNothingButThePortsOfProjectsIsReached(t *testing.T) {
	inner := httptest.NewServer(says("something inside"))
	t.Cleanup(inner.Close)
	_, port, _ := net.SplitHostPort(inner.Listener.Addr().String())
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	other := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	server := httptest.NewServer(local.NewProxy(func(_ context.Context, host string) (string, int, error) {
		if host == "broken.localhost" {
			return "", 0, errors.New("no disk")
		}
		return "shop", number, nil // as where somebody has written it
	}, other, testkit.Log(t)))
	t.Cleanup(server.Close)
	for request, want := range map[string]int{
		"GET http://127.0.0.1:" + port + "/ HTTP/1.1\r\nHost: 127.0.0.1:" + port:       http.StatusTeapot,
		"GET http://shop.localhost:" + port + "/ HTTP/1.1\r\nHost: localhost":          http.StatusNotFound,
		"GET / HTTP/1.1\r\nHost: shop.localhost:" + port:                               http.StatusNotFound,
		"GET / HTTP/1.1\r\nHost: broken.localhost":                                     http.StatusInternalServerError,
		"CONNECT 127.0.0.1:" + port + " HTTP/1.1\r\nHost: 127.0.0.1:" + port:           http.StatusTeapot,
		"CONNECT shop.localhost:" + port + " HTTP/1.1\r\nHost: shop.localhost:" + port: http.StatusMethodNotAllowed,
		"GET //127.0.0.1:" + port + "/ HTTP/1.1\r\nHost: shop.localhost":               http.StatusNotFound,
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request, "\r\nConnection: close\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != want {
			t.Errorf("%q: %v, want %d", request, response, want)
		}
		response.Body.Close()
		conn.Close()
	}
}
