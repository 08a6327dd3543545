package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/service"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/httpapi"
	"github.com/orchard9/rdev/services/gateway/internal/app"
	"github.com/orchard9/rdev/services/gateway/internal/domain"
)

func newAPI(t *testing.T) *chi.Mux {
	t.Helper()
	mux, err := httpapi.New(httpapi.Config{
		Ring: app.NewKeyring(domain.NewPepper(nil)), Health: service.NewHealth("gateway", prometheus.NewRegistry()),
		Version: "v9.8.7", Logger: slog.New(slog.DiscardHandler), Stopping: t.Context(),
		Unavailable: func(error) bool { return false },
	})
	if err != nil {
		t.Fatal(err)
	}
	return mux
}

func get(t *testing.T, mux http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w
}

func document(t *testing.T, mux http.Handler) map[string]any {
	t.Helper()
	var spec map[string]any
	if err := json.Unmarshal(get(t, mux, "/openapi.json").Body.Bytes(), &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// at reads along keys.
func at(value any, keys ...string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

func TestEveryRouteIsInTheSpecAndNothingElse(t *testing.T) {
	mux := newAPI(t)
	var routes, described []string
	err := chi.Walk(mux, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes = append(routes, method+" "+route)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := at(document(t, mux), "paths").(map[string]any)
	for path, item := range paths {
		methods, _ := item.(map[string]any)
		for method := range methods {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if diff := cmp.Diff(routes, described); diff != "" {
		t.Errorf("routes and spec differ (-routes +spec):\n%s", diff)
	}
}

func TestEveryCodeIsInTheSpec(t *testing.T) {
	listed, _ := at(document(t, newAPI(t)), "components", "schemas", "Code", "enum").([]any)
	for _, code := range []contract.Code{
		contract.CodeInvalidRequest, contract.CodeUnauthorized, contract.CodeKeyRevoked, contract.CodeKeyExpired, contract.CodeIPNotAllowed,
		contract.CodeScopeMissing, contract.CodeProjectNotAllowed, contract.CodeNotFound, contract.CodeConflict, contract.CodeIdempotencyMismatch,
		contract.CodeTargetNotAllowed, contract.CodeCursorExpired, contract.CodePayloadTooLarge, contract.CodeRateLimited, contract.CodeUnavailable, contract.CodeInternal,
	} {
		if !slices.Contains(listed, any(string(code))) {
			t.Errorf("%s is missing", code)
		}
	}
}

func TestEveryReferenceOfTheSpecLeadsSomewhere(t *testing.T) {
	spec := document(t, newAPI(t))
	var walk func(any)
	used := map[string]bool{}
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if ref, ok := value["$ref"].(string); ok {
				used[ref] = true
				if at(spec, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...) == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, inner := range value {
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(spec)
	for _, part := range []string{"schemas", "parameters", "headers", "responses"} {
		things, _ := at(spec, "components", part).(map[string]any)
		for name := range things {
			if ref := "#/components/" + part + "/" + name; !used[ref] && name != "Frame" && name != "Event" {
				t.Errorf("%s is not used", ref)
			}
		}
	}
	if version := at(spec, "info", "version"); version != "v9.8.7" {
		t.Errorf("version %v", version)
	}
}

func TestTheDocsShowEveryCallAndLoadNothing(t *testing.T) {
	mux := newAPI(t)
	w := get(t, mux, "/docs")
	page := w.Body.String()
	paths, _ := at(document(t, mux), "paths").(map[string]any)
	for path := range paths {
		if !strings.Contains(page, "<span>"+path+"</span>") {
			t.Errorf("%s is not shown", path)
		}
	}
	for _, foreign := range []string{"src=", "http-equiv", "<script", "<link", "@import", "url("} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
	for anchor := range strings.SplitSeq(page, `href="#`) {
		if id, _, ok := strings.Cut(anchor, `"`); ok && !strings.Contains(id, "<") && !strings.Contains(page, `id="`+id+`"`) {
			t.Errorf("#%s leads nowhere", id)
		}
	}
	if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Error("the page may load what it likes")
	}
}
