package testcluster

import (
	"log/slog"
	"testing"
)

// New starts a cluster that ends with the test. Where the test fails, the
// cluster's logs stay and their directory is named.
func New(t testing.TB) *Cluster {
	t.Helper()
	return NewWith(t, Options{})
}

// NewWith is New with options; without a logger it logs to the test.
func NewWith(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	c, err := Start(t.Context(), o)
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
