package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orchard9/rdev/libs/api"
)

// TimeoutHealthCheck bounds one check of readiness.
const TimeoutHealthCheck = 5 * time.Second

// Check tells whether something that the service needs is there.
type Check struct {
	Name  string
	Check func(context.Context) error
}

// Health answers for the state of a service.
type Health struct {
	service string
	checks  []Check
	metrics *prometheus.Registry
}

// NewHealth answers for a service that needs what is checked.
func NewHealth(name string, metrics *prometheus.Registry, checks ...Check) *Health {
	return &Health{service: name, checks: checks, metrics: metrics}
}

// Live answers GET /health: the process runs and answers.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	api.Write(w, http.StatusOK, map[string]string{"status": "ok", "service": h.service})
}

// Ready answers GET /ready: 200, or 503 and what is missing.
func (h *Health) Ready(w http.ResponseWriter, r *http.Request) {
	results, ok := h.run(r.Context())
	status, word := http.StatusOK, "ready"
	if !ok {
		status, word = http.StatusServiceUnavailable, "not ready"
	}
	api.Write(w, status, map[string]any{"status": word, "service": h.service, "checks": results})
}

func (h *Health) run(ctx context.Context) (results map[string]string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, TimeoutHealthCheck)
	defer cancel()
	results, ok = map[string]string{}, true
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, c := range h.checks {
		wg.Go(func() {
			err := c.Check(ctx)
			mu.Lock()
			defer mu.Unlock()
			results[c.Name] = "ok"
			if err != nil {
				results[c.Name], ok = err.Error(), false
			}
		})
	}
	wg.Wait()
	return results, ok
}

// Part serves /health, /ready and /metrics on an address that only operators
// reach; an empty address serves nothing.
func (h *Health) Part(addr string) Part {
	r := chi.NewRouter()
	r.Get("/health", h.Live)
	r.Get("/ready", h.Ready)
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}))
	return Part{Name: "health", Run: func(ctx context.Context) error {
		if addr == "" {
			<-ctx.Done()
			return nil
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		return Serve(ctx, listener, r)
	}}
}

// Serve answers HTTP requests until ctx is done, then lets those under way end
// for a while. Streams have to watch their own end: see http.Server's
// RegisterOnShutdown.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, onShutdown ...func()) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	for _, f := range onShutdown {
		server.RegisterOnShutdown(f)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("requests did not end: %w", err), server.Close())
	}
	return nil
}
