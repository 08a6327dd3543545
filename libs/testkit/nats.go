// Package testkit gives tests the real things: a NATS server, a PostgreSQL
// database, a running service.
package testkit

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
)

// Patience is how long a test waits for what has to come.
const Patience = 30 * time.Second

// Log writes a test's log to the test's output.
func Log(t testing.TB) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// NATSServer is a NATS server with options of a test's own and nothing in it,
// which ends with the test.
func NATSServer(t testing.TB, options *server.Options) *server.Server {
	t.Helper()
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(Patience) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

// NATS is a NATS server with rdev's streams, which ends with the test.
func NATS(t testing.TB) *embedded.Server {
	t.Helper()
	return NATSWith(t, contract.DefaultLease())
}

// NATSWith is NATS with a lease of the test's choice.
func NATSWith(t testing.TB, lease contract.Lease) *embedded.Server {
	t.Helper()
	server, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Unsynced: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := Connect(t, server.URL(), "migrate")
	if err := c.Ensure(t.Context(), 1, lease); err != nil {
		t.Fatal(err)
	}
	return server
}

// Connect is a connection that ends with the test.
func Connect(t testing.TB, url, service string) *bus.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	c, err := bus.Connect(ctx, bus.Options{NATS: bus.Settings{URL: url}, Service: service, Log: Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Eventually waits until check returns nil, and fails the test with its last
// error where it does not in time.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %v", Patience, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Serve runs a service until the test ends, and fails the test if it fails. The
// function that it returns stops the service at once.
func Serve[Config any](t testing.TB, run func(context.Context, Config, *slog.Logger) error, cfg Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg, Log(t)) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("service: %v", err)
			}
		case <-time.After(Patience):
			t.Errorf("service did not stop in %s", Patience)
		}
	}
	t.Cleanup(stop)
	return stop
}
