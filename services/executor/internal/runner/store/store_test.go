package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

func open(t *testing.T) *store.Root {
	t.Helper()
	root, err := store.Open(filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func create(t *testing.T, root *store.Root, id string, token uint64) (*store.Run, *os.File) {
	t.Helper()
	run, alive, err := root.Create(id, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = run.Close(), alive.Close() })
	return run, alive
}

func TestATokenIsKept(t *testing.T) {
	root := open(t)
	if token, err := root.Token(); token != 0 || err != nil {
		t.Errorf("Token = %d, %v, want 0", token, err)
	}
	if err := root.SetToken(1 << 63); err != nil {
		t.Fatal(err)
	}
	if token, err := root.Token(); token != 1<<63 || err != nil {
		t.Errorf("Token = %d, %v", token, err)
	}
}

func TestARunLivesForAsLongAsItsFileIsOpen(t *testing.T) {
	run, file := create(t, open(t), "a", 1)
	alive, err := run.Alive()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	if held, err := alive.Held(); !held || err != nil {
		t.Errorf("Held = %t, %v", held, err)
	}
	ended := make(chan error)
	go func() { ended <- alive.Wait() }()
	_ = file.Close()
	if err := <-ended; err != nil {
		t.Errorf("Wait = %v", err)
	}
	if held, err := alive.Held(); held || err != nil {
		t.Errorf("Held = %t, %v", held, err)
	}
}

func TestARunThatIsReplacedStaysWhatItWas(t *testing.T) {
	root := open(t)
	first, _ := create(t, root, "a", 1)
	second, _ := create(t, root, "a", 2)
	want := wire.Status{Known: true, Code: 3}
	if err := second.SetStatus(want); err != nil {
		t.Fatal(err)
	}
	if status, err := first.Status(); status != nil || err != nil {
		t.Errorf("the first run has the status %+v, %v", status, err)
	}
	again, err := root.Run("a")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if diff := cmp.Diff(second.Record, again.Record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if status, err := again.Status(); err != nil || cmp.Diff(&want, status) != "" {
		t.Errorf("status = %+v, %v", status, err)
	}
	listener, err := again.Listen()
	if err != nil {
		t.Fatalf("Listen in a long path: %v", err)
	}
	defer listener.Close()
	conn, err := again.Dial()
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	_ = conn.Close()
}

func TestAnIDIsNoPath(t *testing.T) {
	root := open(t)
	for _, id := range []string{"", ".", "..", "../x", "a/b", ".hidden", "-flag", "a\x00", "a b", "a/../b", "a/b/c", strings.Repeat("a", 129)} {
		if _, err := root.Run(id); !errors.Is(err, store.ErrInvalidID) {
			t.Errorf("Run(%q) = %v, want ErrInvalidID", id, err)
		}
		if _, _, err := root.Create(id, 1); !errors.Is(err, store.ErrInvalidID) {
			t.Errorf("Create(%q) = %v, want ErrInvalidID", id, err)
		}
	}
	if _, err := store.Open("relative"); !errors.Is(err, store.ErrRelative) {
		t.Errorf("Open = %v, want ErrRelative", err)
	}
}
