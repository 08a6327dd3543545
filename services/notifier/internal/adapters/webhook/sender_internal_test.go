package webhook

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/orchard9/rdev/libs/testkit"
)

// hasty makes the limits of time short.
func hasty(s *settings) {
	s.connect, s.tls, s.body, s.total = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond, 300*time.Millisecond
}

// trusting takes the certificate of a test's server for good.
func trusting(server *httptest.Server) Option {
	return func(s *settings) { s.roots = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs }
}

func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// raw is a server that reads the head of each request and writes what talk does. It
// returns its URL.
func raw(t testing.TB, talk func(conn net.Conn, nth int)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var requests atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for {
					request, err := http.ReadRequest(reader)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, request.Body)
					n := int(requests.Add(1))
					talk(conn, n)
					if n == 2 {
						return
					}
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// drip writes a byte now and then until the other side hangs up.
func drip(w io.Writer) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := w.Write([]byte("x")); err != nil {
			return
		}
	}
}

func TestAnEndpointThatHangsIsLetGo(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	waits := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the end of the connection
		<-r.Context().Done()
	})
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	for _, c := range []struct {
		name, url string
		option    Option
		want      string
	}{
		{"look-up", "https://hook.example.com", seams(stuck{}, hang), "look up: "},
		{"connect", "https://127.0.0.1:9", seams(stuck{}, hang), "connect: "},
		{"TLS", "https://" + silent.Addr().String(), hasty, "TLS handshake timeout"},
		{"head", waits.URL, hasty, "no answer within 300ms"},
		{"head that drips", raw(t, func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Drip: ")
			drip(conn)
		}), hasty, "no answer within 300ms"},
		{"head without end", raw(t, func(conn net.Conn, _ int) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Long: "+strings.Repeat("x", 1<<20))
		}), hasty, "response headers exceeded"},
		{"no HTTP", raw(t, func(conn net.Conn, _ int) { _, _ = io.WriteString(conn, "220 smtp ready\r\n") }), hasty, "malformed HTTP"},
		{"hung up", raw(t, func(conn net.Conn, _ int) { _ = conn.Close() }), hasty, "EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			outcome := post(t, newSender(t, loopback(), hasty, c.option), c.url)
			if outcome.Err == nil || !strings.Contains(outcome.Err.Error(), c.want) || outcome.Status != 0 || outcome.Duration <= 0 {
				t.Errorf("got %+v, want %q", outcome, c.want)
			}
			if strings.Contains(outcome.Err.Error(), "://") {
				t.Errorf("%v tells the URL", outcome.Err)
			}
		})
	}
}

// stuck is a resolver that does not answer.
type stuck struct{}

func (stuck) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheStatusStandsWhateverBecomesOfTheBody(t *testing.T) {
	for name, body := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drips": func(w http.ResponseWriter, _ *http.Request) { drip(flushing{w}) },
		"has no end": func(w http.ResponseWriter, r *http.Request) {
			for chunk := make([]byte, 32<<10); r.Context().Err() == nil; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"is cut off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(status)
				_, _ = io.WriteString(flushing{w}, "hello ")
				body(w, r)
			})
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			s := newSender(t, loopback(), func(s *settings) { s.body, s.total = 50*time.Millisecond, time.Hour })
			outcome := s.Post(ctx, Request{URL: server.URL, Secrets: []string{secret}, ID: "e1"})
			if outcome.Err != nil || outcome.Status != status || !outcome.Cut || ctx.Err() != nil {
				t.Errorf("a body that %s: got %+v, want %d, cut; %v", name, outcome, status, ctx.Err())
			}
			if told := strings.HasPrefix(outcome.Excerpt, "hello"); told != (status != http.StatusOK) || len(outcome.Excerpt) > maxExcerpt {
				t.Errorf("a body that %s: the excerpt is %q", name, outcome.Excerpt)
			}
		}
	}
}

func TestAnAnswerIsCutAfterSoMuch(t *testing.T) {
	for size, want := range map[int]bool{0: false, 1: false, maxAnswer: false, maxAnswer + 1: true} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
		if outcome := post(t, newSender(t, loopback()), server.URL); outcome.Err != nil || outcome.Cut != want {
			t.Errorf("%d bytes: got %+v, want them cut: %t", size, outcome, want)
		}
	}
}

// flushing sends what is written at once.
type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var followed atomic.Bool
		mux := http.NewServeMux()
		mux.Handle("/", http.RedirectHandler("/elsewhere", status))
		mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed.Store(true) })
		server := serve(t, mux.ServeHTTP)
		if outcome := post(t, newSender(t, loopback()), server.URL); outcome.Err != nil || outcome.Status != status {
			t.Errorf("got %+v, want status %d", outcome, status)
		}
		if followed.Load() {
			t.Errorf("a %d was followed", status)
		}
	}
}

func TestAnEndpointSaysWhenToComeAgain(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		value  string
		want   time.Duration
	}{
		{429, "7", 7 * time.Second},
		{503, " 120 ", 2 * time.Minute},
		{429, "Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second},
		{429, "Sunday, 01-Mar-26 12:01:00 GMT", time.Minute},
		{429, "Sun, 01 Mar 2026 11:00:00 GMT", 0},
		{429, "Sun, 01 Mar 2099 12:00:30 GMT", time.Hour},
		{429, "86400", time.Hour},
		{429, "18446744073709551615", time.Hour},
		{429, "0", 0},
		{429, "", 0},
		{429, "-5", 0},
		{429, "1.5", 0},
		{429, "soon", 0},
		{429, "184467440737095516150", 0},
		{500, "7", 0},
		{200, "7", 0},
		{408, "7", 0},
	} {
		response := &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.value}}}
		if got := retryAfter(response, now); got != c.want {
			t.Errorf("%d with %q: %s, want %s", c.status, c.value, got, c.want)
		}
	}
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "slow down", http.StatusTooManyRequests)
	})
	if outcome := post(t, newSender(t, loopback()), server.URL); outcome.Status != 429 || outcome.RetryAfter != 30*time.Second || outcome.Excerpt != "slow down" || outcome.Err != nil {
		t.Errorf("got %+v, want 429, 30s, slow down", outcome)
	}
}

func TestAnExcerptIsOneLineOfText(t *testing.T) {
	for body, want := range map[string]string{
		"":                               "",
		"no such order\r\n":              "no such order",
		"a\tb\nc":                        "a b c",
		"\x1b[2J\x1b[31mred\x07\x00":     "[2J[31mred",
		"\u009b31mred \u202eder\u2066":   "31mred der",
		"caf\xc3\xa9 \xff\xfe ok":        "café  ok",
		strings.Repeat("x", 2000):        strings.Repeat("x", maxExcerpt),
		strings.Repeat("é", 600) + "end": strings.Repeat("é", 512),
		"x" + strings.Repeat("é", 600):   "x" + strings.Repeat("é", 511),
	} {
		if got := excerpt([]byte(body)); got != want {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
	}
}

func TestTLSIsVerified(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Retry-After", r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	defer old.Close()
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name, url string
		trust     bool
		want      string
	}{
		{"good", server.URL, true, ""},
		{"unknown authority", server.URL, false, "certificate"},
		{"another name", strings.Replace(server.URL, "127.0.0.1", "localhost", 1), true, "certificate is valid for"},
		{"TLS 1.1", old.URL, true, "protocol version"},
		{"no TLS", strings.Replace(plain.URL, "http", "https", 1), true, "HTTP response to HTTPS client"},
	} {
		options := []Option{func(*settings) {}}
		if c.trust {
			options = append(options, trusting(server))
		}
		outcome := post(t, newSender(t, loopback(), options...), c.url)
		switch {
		case c.want == "" && (outcome.Err != nil || outcome.Status != 200):
			t.Errorf("%s: got %+v, want it delivered", c.name, outcome)
		case c.want != "" && (outcome.Err == nil || !strings.Contains(outcome.Err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.name, outcome.Err, c.want)
		}
	}
}

func TestEachSecretSigns(t *testing.T) {
	const older = "whsec_b2xkZXIgc2VjcmV0"
	headers, bodies := make(chan http.Header, 1), make(chan []byte, 1)
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		headers <- r.Header
		bodies <- body
	})
	var header http.Header
	var body []byte
	s := newSender(t, loopback())
	for _, secrets := range [][]string{{secret}, {secret, older}} {
		outcome := s.Post(t.Context(), Request{URL: server.URL, Secrets: secrets, ID: "e1", Body: []byte(`{"id":"op"}`)})
		if outcome.Err != nil || outcome.Status != http.StatusOK {
			t.Fatalf("got %+v", outcome)
		}
		header, body = <-headers, <-bodies
		if n := len(strings.Split(header.Get("webhook-signature"), " ")); n != len(secrets) || string(body) != `{"id":"op"}` {
			t.Errorf("%d signatures of %s, want %d", n, body, len(secrets))
		}
		for _, secret := range secrets {
			verifier, err := standardwebhooks.NewWebhook(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(body, header); err != nil {
				t.Errorf("with %s: %v", secret, err)
			}
		}
	}
	if first, _, _ := strings.Cut(header.Get("webhook-signature"), " "); !newest(t, header, body, first) {
		t.Error("the first signature is not that of the newest secret")
	}
	outcome := s.Post(t.Context(), Request{URL: server.URL, Secrets: []string{"whsec_hunter2!"}, ID: "e1"})
	if outcome.Err == nil || strings.Contains(outcome.Err.Error(), "hunter2") {
		t.Errorf("got %v, want an error that keeps the secret", outcome.Err)
	}
}

// newest tells whether a signature is by the first of the secrets.
func newest(t *testing.T, header http.Header, body []byte, signature string) bool {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	header = header.Clone()
	header.Set("webhook-signature", signature)
	return verifier.Verify(body, header) == nil
}

func TestAnEndpointsHeadersDoNotOverrideOurs(t *testing.T) {
	requests := make(chan *http.Request, 1)
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) { requests <- r })
	own := map[string]string{
		"Authorization": "Bearer t", "x-team": "shop", "Accept": "*/*",
		"Webhook-ID": "forged", "webhook-signature": "v1,forged", "WEBHOOK-TIMESTAMP": "1", "Webhook-New": "forged", "ce-type": "forged", "CE-Id": "forged", "Rdev-Seq": "forged",
		"content-type": "text/forged", "Content-Encoding": "forged", "Content-Length": "1", "Host": "forged", "User-Agent": "forged", "traceparent": "forged",
		"Transfer-Encoding": "chunked", "Connection": "close", "Upgrade": "forged", "TE": "forged", "Expect": "100-continue", "Idempotency-Key": "forged",
	}
	s := newSender(t, loopback())
	event := http.Header{"Ce-Type": {"ai.orchard9.rdev.operation.completed.v1"}, "Rdev-Seq": {"7"}, "Traceparent": {"00-x"}}
	outcome := s.Post(t.Context(), Request{
		URL: server.URL, Secrets: []string{secret}, ID: "e1", Headers: own, Event: event, PrevSeq: "5", Body: []byte(`{}`),
	})
	if len(event) != 3 {
		t.Errorf("the event's headers, which others share, became %v", event)
	}
	if outcome.Err != nil || outcome.Status != http.StatusOK {
		t.Fatalf("got %+v", outcome)
	}
	got := <-requests
	for name, want := range map[string]string{
		"Authorization": "Bearer t", "X-Team": "shop", "Accept": "*/*", "webhook-id": "e1", "Webhook-New": "", "ce-type": "ai.orchard9.rdev.operation.completed.v1", "ce-id": "",
		"Rdev-Seq": "7", "Rdev-Prev-Seq": "5", "traceparent": "00-x", "Content-Type": "application/json", "Content-Encoding": "", "User-Agent": userAgent, "Connection": "", "Upgrade": "", "TE": "", "Expect": "",
		"Idempotency-Key": "", "Accept-Encoding": "",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
	if got.Host != strings.TrimPrefix(server.URL, "http://") || got.ContentLength != 2 || len(got.TransferEncoding) > 0 || got.Method != http.MethodPost {
		t.Errorf("got %s %s with %d bytes, %v", got.Method, got.Host, got.ContentLength, got.TransferEncoding)
	}
	for name, value := range got.Header {
		if strings.Contains(strings.Join(value, ""), "forged") {
			t.Errorf("%s is %v", name, value)
		}
	}
}

// A server may close a connection that it kept just as the next request is on its way.
func TestARequestOnAConnectionThatIsClosedIsMadeAgain(t *testing.T) {
	url := raw(t, func(conn net.Conn, nth int) {
		if nth != 2 { // which is read, and hung up on
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	s := newSender(t, loopback())
	for range 2 {
		if outcome := post(t, s, url); outcome.Err != nil || outcome.Status != http.StatusNoContent {
			t.Errorf("got %+v, want it delivered", outcome)
		}
	}
}

func TestARequestThatIsCutOffSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	outcome := newSender(t, loopback()).Post(ctx, Request{URL: server.URL, Secrets: []string{secret}, ID: "e1"})
	if !errors.Is(outcome.Err, context.Canceled) {
		t.Errorf("got %v, want it canceled", outcome.Err)
	}
}
