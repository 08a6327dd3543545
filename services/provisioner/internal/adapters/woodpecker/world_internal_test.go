package woodpecker

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/adapters/woodpecker/woodpeckertest"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var (
	_ app.CI        = (*Server)(nil)
	_ app.Pipelines = (*Server)(nil)
)

// world is a CI beside a forge, and who speaks to it.
type world struct {
	*Server

	t  *testing.T
	ci *woodpeckertest.Server

	mu    sync.Mutex
	forge map[string]string // names by id
}

// shop is a repository of the forge that the CI may not know yet.
func shop() app.Repository { return app.Repository{ID: "2", Name: "rdev/shop"} }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, forge: map[string]string{"2": "rdev/shop", "3": "rdev/blog"}}
	w.ci = woodpeckertest.New(func(id string) (string, bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		name, ok := w.forge[id]
		return name, ok
	})
	t.Cleanup(w.ci.Close)
	var err error
	if w.Server, err = New(w.ci.URL+"/", woodpeckertest.Token); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) activate(r app.Repository, secrets map[string]string) app.CIRepository {
	w.t.Helper()
	made, err := w.Activate(w.t.Context(), r, secrets)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

// activated is the CI's repository of shop.
func (w *world) activated() app.CIOf {
	w.t.Helper()
	return app.CIOf{ID: w.activate(shop(), nil).ID, Forge: "2"}
}

// dies makes whoever speaks to the CI die at a boundary, of which there are two for each
// call, or never where that is 0; the end brings it back to life.
func (w *world) dies(killAt int) (m *mortal, end func()) {
	alive := w.client.Transport
	m = &mortal{next: alive, killAt: killAt}
	w.client.Transport = m
	return m, func() { w.client.Transport = alive }
}

// mortal is a process that dies before, or after, a call.
type mortal struct {
	next http.RoundTripper

	mu     sync.Mutex
	passed int
	killAt int
	dead   bool
}

var errKilled = errors.New("killed")

func (m *mortal) pass() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passed++
	m.dead = m.dead || m.passed == m.killAt
	if m.dead {
		return errKilled
	}
	return nil
}

// RoundTrip implements http.RoundTripper.
func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := m.pass(); err != nil {
		return nil, err
	}
	response, err := m.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := m.pass(); err != nil {
		_ = response.Body.Close()
		return nil, err
	}
	return response, nil
}

// wantFailure wants a StepError of a class with some words.
func wantFailure(t *testing.T, err error, class contract.FailureClass, words string) {
	t.Helper()
	known, ok := errors.AsType[*app.StepError](err)
	if !ok || known.Failure.Class != class || !strings.Contains(known.Failure.Message, words) {
		t.Errorf("%v, want %s: …%s…", err, class, words)
	}
}

// wantError wants an error of the API with some words.
func wantError(t *testing.T, err error, code contract.Code, words string) {
	t.Helper()
	known, ok := errors.AsType[*contract.Error](err)
	if !ok || known.Code != code || !strings.Contains(known.Detail, words) {
		t.Errorf("%v, want %s: …%s…", err, code, words)
	}
}
