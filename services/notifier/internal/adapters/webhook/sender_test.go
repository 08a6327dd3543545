package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orchard9/rdev/services/notifier/internal/adapters/webhook"
	"github.com/orchard9/rdev/services/notifier/internal/app"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

const secret = "whsec_c2VjcmV0"

func event() app.Event {
	return app.Event{ID: "e1", Header: map[string]string{}, Data: []byte(`{}`)}
}

func loopback() domain.Targets {
	return domain.Targets{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

func TestAPrivateAddressIsRefusedWhenItIsDialed(t *testing.T) {
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer server.Close()
	sender := webhook.NewSender(domain.Targets{})
	defer sender.Close()
	// By address, and by a name that leads there.
	for _, url := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		attempt := sender.Send(t.Context(), url, secret, event())
		if !strings.Contains(attempt.Error, "target not allowed") || attempt.StatusCode != 0 {
			t.Errorf("%s: got %+v, want it refused", url, attempt)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("the server got %d requests", n)
	}
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	var followed atomic.Bool
	mux := http.NewServeMux()
	mux.Handle("/", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	server := httptest.NewServer(mux)
	defer server.Close()
	sender := webhook.NewSender(loopback())
	defer sender.Close()
	attempt := sender.Send(t.Context(), server.URL, secret, event())
	if attempt.StatusCode != http.StatusTemporaryRedirect || !strings.Contains(attempt.Error, "not followed") {
		t.Errorf("got %+v, want a failure with status 307", attempt)
	}
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

func TestAnAnswerWithoutEndIsNotReadToItsEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 32<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	sender := webhook.NewSender(loopback())
	defer sender.Close()
	if attempt := sender.Send(t.Context(), server.URL, secret, event()); attempt.Error != "" || attempt.StatusCode != http.StatusOK {
		t.Errorf("got %+v, want it delivered", attempt)
	}
}
