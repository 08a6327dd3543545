package blob

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

// The sweep of another process looks at a file all the time while that gets old and is
// replaced.
func TestAFileThatIsReplacedWhileItIsSweptStays(t *testing.T) {
	t.Parallel()
	name := t.TempDir()
	writer, err := openDirectory(name)
	if err != nil {
		t.Fatal(err)
	}
	sweeper, err := openDirectory(name)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	swept := make(chan error)
	go func() {
		var err error
		for err == nil {
			select {
			case <-ended:
				swept <- nil
				return
			default:
				_, err = sweeper.removeOlder("a/b", time.Now().Add(-time.Minute))
			}
		}
		swept <- err
	}()
	old := time.Now().Add(-time.Hour)
	for range 300 {
		if err := writer.root.WriteFile(unfinishedDir+"/new", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writer.root.Chtimes("a/b", old, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := writer.place(unfinishedDir+"/new", "a/b"); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.root.Stat("a/b"); err != nil {
			t.Fatal(err)
		}
	}
	close(ended)
	if err := <-swept; err != nil {
		t.Error(err)
	}
}

func TestUploadsThatNobodyCompletesAreAborted(t *testing.T) {
	t.Parallel()
	m := newMiddle(t)
	begin := func(object string, ago time.Duration) {
		t.Helper()
		id, err := m.core.NewMultipartUpload(t.Context(), m.name, object, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := filepath.Glob(filepath.Join(m.server.Dir, "*", "multipart", "*", id))
		if err != nil || len(dirs) != 1 {
			t.Fatalf("the upload is in %v, %v", dirs, err)
		}
		at := time.Now().Add(-ago)
		if err := os.Chtimes(dirs[0], at, at); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (objects []string) {
		t.Helper()
		page, err := m.core.ListMultipartUploads(t.Context(), m.name, "", "", "", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Uploads {
			objects = append(objects, u.Key)
		}
		return objects
	}
	begin("a/p1/of-today", 23*time.Hour)
	begin("a/p1/of-yesterday", 25*time.Hour)
	begin("a/p10/of-yesterday", 25*time.Hour)
	if _, err := m.Sweep(t.Context(), "a/p1", time.Now().Add(-7*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(left(), " "); got != "a/p1/of-today a/p10/of-yesterday" {
		t.Errorf("after the sweep there are %s", got)
	}
	if err := m.DeleteAll(t.Context(), "a/p1"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(left(), " "); got != "a/p10/of-yesterday" {
		t.Errorf("after the deletion there are %s", got)
	}
}

func TestAKeyIsReadAgain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	key := &keyReader{file: file}
	if !key.IsExpired() {
		t.Error("there is a key before one was read")
	}
	for _, text := range []string{"id\nsecret\n", "another\r\nsecret\r\ntoken"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := key.Retrieve()
		want := append(strings.Fields(text), "")
		if err != nil || got.AccessKeyID != want[0] || got.SecretAccessKey != want[1] || got.SessionToken != want[2] {
			t.Errorf("%q is read as %v, %v", text, got, err)
		}
		if key.IsExpired() {
			t.Error("it is read again at once")
		}
		key.CurrentTime = func() time.Time { return time.Now().Add(2 * keyAge) }
		if !key.IsExpired() {
			t.Error("it is never read again")
		}
		key.CurrentTime = nil
	}
}

func FuzzKeys(f *testing.F) {
	for _, key := range []string{"a", "artifacts/shop/0", "..", "a/../..", "a//b", "/a", ".lock", "a\x00b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if checkKey(key) != nil {
			return
		}
		if !filepath.IsLocal(key) || path.Clean(key) != key || strings.HasPrefix(key, ".") || strings.Contains(key, "/.") {
			t.Errorf("%q is a key", key)
		}
	})
}
