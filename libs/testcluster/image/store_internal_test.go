package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// one is a layer with one file.
func one(t *testing.T, s store, name, content string) layer {
	t.Helper()
	l, err := s.layer(t.Context(), name, name+content, func(_ context.Context, made *tree) error {
		return made.file(name, 0o644, text(content))
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// untar reads the files of a tar.
func untar(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, line := range entries(t, bytes.NewReader(content)) {
		fields := strings.SplitN(line, " ", 5)
		files[fields[3]] = fields[4]
	}
	return files
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestAnArchiveIsWhatItsManifestSays(t *testing.T) {
	s := store{dir: t.TempDir()}
	layers := []layer{one(t, s, "a", "1"), one(t, s, "b", "2"), one(t, s, "a", "1")}
	run := process{User: "1000:1000", Env: []string{"A=b"}, Entrypoint: []string{"/x"}, WorkingDir: "/workspace"}
	made, err := s.archive(t.Context(), "rdev.test/x:dev", run, layers)
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, made.Archive)
	var manifests []manifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &manifests); err != nil || len(manifests) != 1 {
		t.Fatalf("manifest.json is %q, %v", files["manifest.json"], err)
	}
	m := manifests[0]
	if !slices.Equal(m.RepoTags, []string{made.Name}) || len(m.Layers) != len(layers) {
		t.Errorf("the manifest says %+v", m)
	}
	if digest(files[m.Config]) != made.ID {
		t.Errorf("the configuration is not the one of the image's ID")
	}
	var c config
	if err := json.Unmarshal([]byte(files[m.Config]), &c); err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Config.User != "1000:1000" || c.Config.WorkingDir != "/workspace" || len(c.History) != len(layers) {
		t.Errorf("the configuration is %+v", c)
	}
	for i, file := range m.Layers {
		if got := digest(files[file]); got != c.RootFS.DiffIDs[i] || got != layers[i].diffID {
			t.Errorf("layer %d is %s, the configuration says %s, the store %s", i, got, c.RootFS.DiffIDs[i], layers[i].diffID)
		}
	}
	if len(files) != 4 {
		t.Errorf("the archive holds %d files: a layer that comes twice is written twice", len(files))
	}
}

func TestAnImageIsWrittenAnewOnlyWhenItIsAnother(t *testing.T) {
	s := store{dir: t.TempDir()}
	base := one(t, s, "base", "1")
	archive := func(s store, name, runner string) Image {
		made, err := s.archive(t.Context(), name, process{}, []layer{base, one(t, s, "runner", runner)})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := archive(s, "rdev.test/x:dev", "1")
	if again := archive(s, "rdev.test/x:dev", "1"); again != first {
		t.Errorf("made again it is %+v, before it was %+v", again, first)
	}
	if renamed := archive(s, "rdev.test/y:dev", "1"); renamed.Archive == first.Archive || renamed.ID != first.ID {
		t.Errorf("under another name it is %+v", renamed)
	}
	if other := archive(s, "rdev.test/x:dev", "2"); other.ID == first.ID || other.Archive == first.Archive {
		t.Error("another runner makes the same image")
	}
	elsewhere := store{dir: t.TempDir()}
	if same := archive(elsewhere, "rdev.test/x:dev", "1"); same.ID != first.ID {
		t.Error("the same image has another ID on another machine")
	} else if a, b := untar(t, same.Archive), untar(t, first.Archive); a["manifest.json"] != b["manifest.json"] {
		t.Error("the same image is another archive on another machine")
	}
}

func TestALayerIsMadeOnceHoweverManyAsk(t *testing.T) {
	s := store{dir: t.TempDir()}
	var made atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			l, err := s.layer(t.Context(), "x", "x", func(_ context.Context, layer *tree) error {
				made.Add(1)
				return layer.file("x", 0o644, text("x"))
			})
			if err != nil || !strings.HasPrefix(l.diffID, "sha256:") {
				t.Errorf("layer %+v, %v", l, err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("the layer was made %d times", made.Load())
	}
}

func TestALayerThatFailsLeavesNothingAndIsTriedAgain(t *testing.T) {
	s := store{dir: t.TempDir()}
	broken := errors.New("broken")
	_, err := s.layer(t.Context(), "x", "xx", func(context.Context, *tree) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "layers", "*"))
	if err != nil || len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// A process that was killed leaves a directory without its final name.
	if err := os.MkdirAll(filepath.Join(s.dir, "layers", hash("xx")[:32]+".partial-1", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if l := one(t, s, "x", "x"); l.diffID == "" {
		t.Error("the layer is not made after all")
	}
}

func TestWhatNobodyAsksForIsRemoved(t *testing.T) {
	s := store{dir: t.TempDir()}
	base := one(t, s, "base", "1")
	archive := func(name string) string {
		made, err := s.archive(t.Context(), name, process{}, []layer{base})
		if err != nil {
			t.Fatal(err)
		}
		return made.Archive
	}
	old, used, held := archive("old"), archive("used"), archive("held")
	past := time.Now().Add(-2 * unusedArchive)
	for _, path := range []string{old, used, held} {
		if err := os.Chtimes(filepath.Dir(path), past, past); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := cache.Lock(t.Context(), filepath.Dir(held)+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	archive("used")
	for path, want := range map[string]bool{old: false, used: true, held: true, base.path: true} {
		if cache.Exists(path) != want {
			t.Errorf("%s exists: %t", path, !want)
		}
	}
}
