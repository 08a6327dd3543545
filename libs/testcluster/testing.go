package testcluster

import (
	"log/slog"
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
			t.Logf("the logs of the cluster are in %s\n%s", c.KeepLogs(), c.node.allLastWords())
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}
