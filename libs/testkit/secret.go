package testkit

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
)

// SecretFile writes a fresh secret of 52 letters and digits into a file of the test.
func SecretFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(rand.Text()+rand.Text()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
