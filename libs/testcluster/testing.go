package testcluster

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
)

// New starts a cluster that ends with the test. Where the test fails, the
// cluster's logs stay and their directory is named.
func New(t testing.TB) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the logs of the cluster are in %s\n%s", c.KeepLogs(), c.lastWords())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// Main is for a TestMain whose tests share one cluster: it starts one, gives it
// to use, runs the tests, stops it, and returns the code to exit with.
func Main(m *testing.M, use func(*Cluster)) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	c, err := Start(context.Background(), Options{Log: log})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	use(c)
	code := m.Run()
	if code != 0 {
		log.Info("the logs of the cluster are kept", "dir", c.KeepLogs())
	}
	if err := c.Stop(); err != nil {
		log.Error("the cluster did not end well", "error", err)
		return max(code, 1)
	}
	return code
}
