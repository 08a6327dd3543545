package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orchard9/rdev/libs/service"
)

func TestAServiceIsReadyOnceAllThatItNeedsIsThere(t *testing.T) {
	var missing error
	health := service.NewHealth("gateway", prometheus.NewRegistry(),
		service.Check{Name: "nats", Check: func(context.Context) error { return missing }},
		service.Check{Name: "disk", Check: func(context.Context) error { return nil }},
	)
	for _, c := range []struct {
		missing error
		status  int
		want    map[string]any
	}{
		{nil, http.StatusOK, map[string]any{"status": "ready", "service": "gateway", "checks": map[string]any{"nats": "ok", "disk": "ok"}}},
		{errors.New("away"), http.StatusServiceUnavailable, map[string]any{"status": "not ready", "service": "gateway", "checks": map[string]any{"nats": "away", "disk": "ok"}}},
	} {
		missing = c.missing
		w := httptest.NewRecorder()
		health.Ready(w, httptest.NewRequest(http.MethodGet, "/ready", http.NoBody))
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || w.Code != c.status {
			t.Errorf("status %d\n%s", w.Code, diff)
		}
		w = httptest.NewRecorder()
		if health.Live(w, nil); w.Code != http.StatusOK {
			t.Errorf("health answers %d where the process lives", w.Code)
		}
	}
}
