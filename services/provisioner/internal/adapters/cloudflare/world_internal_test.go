package cloudflare

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/cloudflare/cloudflaretest"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var _ app.DNS = (*DNS)(nil)

const (
	host = "shop.example.com"
	ours = `"heritage=rdev,rdev/owner=one,rdev/project=shop"`
)

// zones are those of the tests; the host of most is in the first one.
func zones() map[string]string {
	return map[string]string{"example.com": cloudflaretest.ZoneID(1), "apps.example.com": cloudflaretest.ZoneID(2), "example.org": cloudflaretest.ZoneID(3)}
}

// world is a Cloudflare, and what the tests put into it.
type world struct {
	*cloudflaretest.Server

	t *testing.T
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{cloudflaretest.New(t, zones()), t}
}

// dns is one of the installation "one" that has hosts lead to edge.example.net.
func (w *world) dns(changes ...func(*Config)) *DNS {
	w.t.Helper()
	cfg := Config{Zones: zones(), Token: cloudflaretest.Token, Target: "edge.example.net", Installation: "one", BaseURL: w.URL}
	for _, change := range changes {
		change(&cfg)
	}
	d, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(d.client.CloseIdleConnections)
	return d
}

func target(to string) func(*Config)       { return func(c *Config) { c.Target = to } }
func installation(id string) func(*Config) { return func(c *Config) { c.Installation = id } }

// put makes a record in the first zone.
func (w *world) put(kind, name, content, comment string) cloudflaretest.Record {
	return w.Put(cloudflaretest.Record{Zone: cloudflaretest.ZoneID(1), Type: kind, Name: name, Content: content, Comment: comment})
}

// mark marks the host of the tests.
func (w *world) mark(content string) { w.put("TXT", "_rdev."+host, content, "") }

// there are all records, one a line.
func (w *world) there() string {
	var lines []string
	for _, r := range w.Snapshot() {
		line := r.Type + " " + r.Name + " " + r.Content
		if r.Proxied {
			line += " proxied"
		}
		if r.Comment != "" {
			line += " # " + r.Comment
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (w *world) create(d *DNS, slug, host string) {
	w.t.Helper()
	if _, err := d.Create(w.t.Context(), slug, host); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) remove(d *DNS, slug, host string) {
	w.t.Helper()
	if err := d.Remove(w.t.Context(), slug, host); err != nil {
		w.t.Fatal(err)
	}
}

// verified has the host be as it should.
func (w *world) verified(d *DNS) {
	w.t.Helper()
	if differences, err := d.Verify(w.t.Context(), "shop", host); err != nil || len(differences) > 0 {
		w.t.Errorf("%v: %q\n%s", err, differences, w.there())
	}
}

// refused has the error be one that the user can mend, and say so.
func refused(t *testing.T, err error, class contract.FailureClass, parts ...string) {
	t.Helper()
	known, ok := errors.AsType[*app.StepError](err)
	if !ok || known.Failure.Class != class {
		t.Errorf("got %v, want one of the class %s", err, class)
		return
	}
	for _, part := range append(parts, "") {
		if !strings.Contains(known.Failure.Message, part) {
			t.Errorf("it says %q, and nothing of %q", known.Failure.Message, part)
		}
	}
	if strings.Contains(known.Failure.Message, cloudflaretest.Token) {
		t.Errorf("it says the token: %s", known.Failure.Message)
	}
}

// mortal is a process that dies before, or after, a call.
type mortal struct {
	http.RoundTripper

	mu     sync.Mutex
	die    context.CancelFunc
	passed int // boundaries so far: two for each call
	killAt int // 0 for never
}

// alive passes a boundary.
func (m *mortal) alive() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed++
	if m.killAt > 0 && m.passed >= m.killAt {
		m.die()
		return false
	}
	return true
}

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if !m.alive() {
		return nil, context.Canceled
	}
	response, err := m.RoundTripper.RoundTrip(r)
	if err == nil && !m.alive() {
		_ = response.Body.Close()
		return nil, context.Canceled
	}
	return response, err
}

// killed does something as a process that dies at a boundary, if it comes so far, and tells
// how many it passed.
func (w *world) killed(d *DNS, killAt int, do func(context.Context) error) (boundaries int) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	m := &mortal{RoundTripper: d.client.Transport, die: cancel, killAt: killAt}
	d.client.Transport = m
	err := do(ctx)
	d.client.Transport = m.RoundTripper
	if (err != nil) != (killAt > 0 && m.passed >= killAt) {
		w.t.Errorf("killed at %d of %d: %v", killAt, m.passed, err)
	}
	return m.passed
}
