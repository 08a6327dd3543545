package supervise_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/supervise"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

func appendText(spool *supervise.Spool, stream domain.Stream, text string) error {
	return spool.Append(stream, copy(spool.Room(), text))
}

func TestASpoolCountsEachStreamOnItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	spool := supervise.NewSpool(file, 0)
	for _, text := range []string{"a", "bc", "def"} {
		if err := appendText(spool, domain.Stdout, text); err != nil {
			t.Fatal(err)
		}
		if err := appendText(spool, domain.Stderr, "!"); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := spool.Close(); dropped != 0 || err != nil {
		t.Errorf("Close = %d, %v", dropped, err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader := wire.NewReader(bytes.NewReader(written), 0)
	var next [3]int64
	for range 6 {
		frame, _, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if frame.Offset != next[frame.Stream] {
			t.Errorf("offset %d of stream %d, want %d", frame.Offset, frame.Stream, next[frame.Stream])
		}
		next[frame.Stream] += int64(len(frame.Data))
	}
}

func TestAFullDiskIsToldOnce(t *testing.T) {
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	spool := supervise.NewSpool(file, 0)
	if err := appendText(spool, domain.Stdout, "lost"); err == nil {
		t.Error("Append to a full disk succeeded")
	}
	if err := appendText(spool, domain.Stdout, "lost"); err != nil {
		t.Errorf("Append after that = %v", err)
	}
	dropped, err := spool.Close()
	if dropped != 8 || err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("Close = %d, %v", dropped, err)
	}
}

func TestBeyondItsLimitASpoolDrops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	spool := supervise.NewSpool(file, 100)
	for range 10 {
		if err := appendText(spool, domain.Stdout, "0123456789"); err != nil {
			t.Fatal(err)
		}
	}
	if dropped, err := spool.Close(); dropped != 80 || err != nil {
		t.Errorf("Close = %d, %v, want 80 bytes dropped", dropped, err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 2*(wire.HeaderSize+10) {
		t.Errorf("the spool has %d bytes", info.Size())
	}
}
