package blob

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/testkit"
)

// large is content that goes in several requests.
func large(fill string) string { return strings.Repeat(fill, 20<<20) }

// middle stands between a bucket and its server.
type middle struct {
	*bucket

	server testkit.S3Server
	// fault answers a request in place of the server, or has it forwarded where it
	// returns false.
	fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (answered bool)]
	over  chan struct{} // closed with the test: until then a fault may last
	// forward asks the server.
	forward *httputil.ReverseProxy
}

// patient is how long a server of these tests may be silent.
const patient = time.Second

func newMiddle(t *testing.T) *middle {
	t.Helper()
	m := &middle{server: testkit.S3(t), over: make(chan struct{})}
	at, err := url.Parse(m.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	query := at.Query()
	target := &url.URL{Scheme: "http", Host: query.Get("endpoint")}
	m.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := m.fault.Load(); fault == nil || !(*fault)(w, r) {
			m.forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(m.over) })
	query.Set("endpoint", server.Listener.Addr().String())
	at.RawQuery = query.Encode()
	if m.bucket, err = openBucket(at, m.server.KeyFile, patient); err != nil {
		t.Fatal(err)
	}
	return m
}

// during has a fault meet requests with a method while a call is made.
func (m *middle) during(method string, fault func(w http.ResponseWriter, r *http.Request) bool, call func()) {
	f := func(w http.ResponseWriter, r *http.Request) bool { return r.Method == method && fault(w, r) }
	m.fault.Store(&f)
	defer m.fault.Store(nil)
	call()
}

// once has a fault happen to the first request alone.
func once(fault func(w http.ResponseWriter, r *http.Request) bool) func(w http.ResponseWriter, r *http.Request) bool {
	var happened atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) (answered bool) {
		return !happened.Swap(true) && fault(w, r)
	}
}

func (m *middle) unavailable(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}

func (m *middle) broken(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusInternalServerError)
	return true
}

// cutUpload reads some of what is sent, and closes the connection.
func (m *middle) cutUpload(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.CopyN(io.Discard, r.Body, 100_000)
	panic(http.ErrAbortHandler)
}

// cutDownload sends some of what the server says, and closes the connection.
func (m *middle) cutDownload(w http.ResponseWriter, r *http.Request) bool {
	m.forward.ServeHTTP(&cutter{w, 100_000, func() { panic(http.ErrAbortHandler) }}, r)
	return true
}

// stallDownload sends some of what the server says, and then nothing.
func (m *middle) stallDownload(w http.ResponseWriter, r *http.Request) bool {
	m.forward.ServeHTTP(&cutter{w, 100_000, func() { <-m.over }}, r)
	return true
}

// loseAnswer has the server do what is asked, and does not tell.
func (m *middle) loseAnswer(_ http.ResponseWriter, r *http.Request) bool {
	m.forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// silent reads nothing and says nothing.
func (m *middle) silent(http.ResponseWriter, *http.Request) bool {
	<-m.over
	return true
}

// cutter lets the first bytes of an answer through.
type cutter struct {
	http.ResponseWriter
	left int
	end  func()
}

func (c *cutter) Write(p []byte) (int, error) {
	if len(p) > c.left {
		p = p[:c.left]
	}
	n, err := c.ResponseWriter.Write(p)
	if c.left -= n; c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		c.end()
	}
	return n, err
}

func (m *middle) content(t *testing.T, key string) string {
	t.Helper()
	body, size, err := m.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil || int64(len(content)) != size {
		t.Fatalf("%d of %d bytes, %v", len(content), size, err)
	}
	return string(content)
}

func TestAFaultThatPassesIsNotNoticed(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*middle, http.ResponseWriter, *http.Request) bool{
		"503": (*middle).unavailable, "500": (*middle).broken, "cut": (*middle).cutUpload, "lost answer": (*middle).loseAnswer, "silence": (*middle).silent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMiddle(t)
			fault := func(w http.ResponseWriter, r *http.Request) bool { return fault(m, w, r) }
			for _, content := range []string{"small", large("a")} {
				m.during(http.MethodPut, once(fault), func() {
					if size, _, err := m.Put(t.Context(), "a/b", strings.NewReader(content)); err != nil || size != int64(len(content)) {
						t.Errorf("put: %d bytes, %v", size, err)
					}
				})
				m.during(http.MethodGet, once(fault), func() {
					if m.content(t, "a/b") != content {
						t.Error("it is not what was written")
					}
				})
			}
		})
	}
}

func TestAFaultThatLastsIsAnErrorAndChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content string
		fault   func(*middle, http.ResponseWriter, *http.Request) bool
	}{
		"503": {"small", (*middle).unavailable}, "cut": {large("a"), (*middle).cutUpload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMiddle(t)
			fault := func(w http.ResponseWriter, r *http.Request) bool { return c.fault(m, w, r) }
			if _, _, err := m.Put(t.Context(), "a/b", strings.NewReader("old")); err != nil {
				t.Fatal(err)
			}
			m.during(http.MethodPut, fault, func() {
				if _, _, err := m.Put(t.Context(), "a/b", strings.NewReader(c.content)); err == nil || !strings.HasPrefix(err.Error(), "store a/b: ") {
					t.Errorf("put: %v", err)
				}
			})
			if got := m.content(t, "a/b"); got != "old" {
				t.Errorf("there are %d bytes", len(got))
			}
			if uploads, err := m.core.ListMultipartUploads(t.Context(), m.name, "", "", "", "", 10); err != nil || len(uploads.Uploads) != 0 {
				t.Errorf("there are %v, %v", uploads.Uploads, err)
			}
		})
	}
}

// Whether the server has put a file together is not known where its answer is lost.
func TestALostAnswerToTheLastRequestLeavesAWholeFile(t *testing.T) {
	t.Parallel()
	m := newMiddle(t)
	if _, _, err := m.Put(t.Context(), "a/b", strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	completes := func(w http.ResponseWriter, r *http.Request) bool {
		return r.URL.Query().Has("uploadId") && m.loseAnswer(w, r)
	}
	var err error
	m.during(http.MethodPost, once(completes), func() {
		_, _, err = m.Put(t.Context(), "a/b", strings.NewReader(large("a")))
	})
	got := m.content(t, "a/b")
	if err != nil && !strings.HasPrefix(err.Error(), "store a/b: ") || got != large("a") && (err == nil || got != "old") {
		t.Errorf("%d bytes after %v", len(got), err)
	}
}

func TestADownloadThatIsCutOrStallsEndsWithAnError(t *testing.T) {
	t.Parallel()
	m := newMiddle(t)
	if _, _, err := m.Put(t.Context(), "a/b", strings.NewReader(large("a"))); err != nil {
		t.Fatal(err)
	}
	for _, fault := range []func(http.ResponseWriter, *http.Request) bool{m.cutDownload, m.stallDownload} {
		m.during(http.MethodGet, fault, func() {
			body, size, err := m.Get(t.Context(), "a/b")
			if err != nil || size != 20<<20 {
				t.Fatalf("%d bytes, %v", size, err)
			}
			n, err := io.Copy(io.Discard, body)
			if err := errors.Join(err, body.Close()); err == nil || n >= size {
				t.Errorf("%d of %d bytes without an error", n, size)
			}
		})
	}
}

// The server of the tests leaves an object that is copied onto itself as it is; the
// one of this test answers as those do that do not.
func TestWhatTheServerHasIsNotSentAgain(t *testing.T) {
	t.Parallel()
	m := newMiddle(t)
	var copies, uploads atomic.Int32
	fresh := func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Copy-Source") == "" {
			uploads.Add(1)
			return false
		}
		copies.Add(1)
		_, _ = io.WriteString(w, `<CopyObjectResult><ETag>"1"</ETag><LastModified>`+
			time.Now().Add(time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")+`</LastModified></CopyObjectResult>`)
		return true
	}
	put := func() {
		if size, _, err := m.PutByDigest(t.Context(), "a", strings.NewReader("hello")); err != nil || size != 5 {
			t.Errorf("%d bytes, %v", size, err)
		}
	}
	m.during(http.MethodPut, fresh, func() {
		put()
		if uploads.Load() != 1 || copies.Load() != 0 {
			t.Errorf("the first time: %d uploads and %d copies", uploads.Load(), copies.Load())
		}
		put()
		if uploads.Load() != 1 || copies.Load() != 1 {
			t.Errorf("the second time: %d uploads and %d copies", uploads.Load(), copies.Load())
		}
	})
	// Where the copy is refused, it is sent.
	m.during(http.MethodPut, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Copy-Source") == "" {
			uploads.Add(1)
			return false
		}
		w.WriteHeader(http.StatusNotImplemented)
		return true
	}, put)
	if uploads.Load() != 2 {
		t.Errorf("where it cannot be copied: %d uploads", uploads.Load())
	}
	if content := m.content(t, "a/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"); content != "hello" {
		t.Errorf("got %q", content)
	}
}
