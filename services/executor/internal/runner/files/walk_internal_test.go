package files

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func TestAPipeInPlaceOfAFileIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = copyFile(io.Discard, root, "pipe", 3) // with nobody who writes
	if _, ok := errors.AsType[*domain.FilesError](err); !ok {
		t.Errorf("it is copied with %v", err)
	}
}
