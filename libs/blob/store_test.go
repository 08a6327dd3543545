package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/orchard9/rdev/libs/blob"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// fixture is a store that a test has for itself.
type fixture struct {
	blob.Store
	files string // the directory in which its files are, under their keys
}

func directory(t *testing.T) fixture {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a directory", "files")
	return fixture{open(t, blob.Settings{URL: "file://" + strings.ReplaceAll(dir, " ", "%20")}), dir}
}

func bucket(t *testing.T) fixture {
	t.Helper()
	server := testkit.S3(t)
	settings := blob.Settings{URL: strings.Replace(server.URL, "?", "/some/prefix?", 1), KeyFile: server.KeyFile}
	return fixture{open(t, settings), filepath.Join(server.Dir, "some", "prefix")}
}

func open(t *testing.T, settings blob.Settings) blob.Store {
	t.Helper()
	store, err := blob.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// fixtures are a store of either kind.
func fixtures() map[string]func(*testing.T) fixture {
	return map[string]func(*testing.T) fixture{"directory": directory, "bucket": bucket}
}

func (f fixture) put(t *testing.T, key, content string) {
	t.Helper()
	size, digest, err := f.Put(t.Context(), key, strings.NewReader(content))
	if err != nil || size != int64(len(content)) || digest != digestOf(content) {
		t.Fatalf("put %s: %d bytes, %s, %v", key, size, digest, err)
	}
}

func (f fixture) get(t *testing.T, key string) string {
	t.Helper()
	body, size, err := f.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil || int64(len(content)) != size {
		t.Fatalf("%s: %d of %d bytes, %v", key, len(content), size, err)
	}
	return string(content)
}

// missing wants keys to have no file.
func (f fixture) missing(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if body, _, err := f.Get(t.Context(), key); !errors.Is(err, contract.ErrNotFound) || body != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// age has a file be as if it was written some time ago.
func (f fixture) age(t *testing.T, name string, ago time.Duration) {
	t.Helper()
	at := time.Now().Add(-ago)
	if err := os.Chtimes(filepath.Join(f.files, name), at, at); err != nil {
		t.Fatal(err)
	}
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// noise is content of a size in bytes, the same each time.
func noise(size int) string {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	return string(content)
}

func TestAFileIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, size := range []int{1, 0, 20<<20 + 1, 8 << 20, 100} { // in one request, and in several
				f.put(t, "caches/shop/key", noise(size))
				if f.get(t, "caches/shop/key") != noise(size) {
					t.Errorf("%d bytes are not what was written", size)
				}
			}
			f.put(t, "one", "at the top")
			if got := f.get(t, "one"); got != "at the top" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAFileIsFoundByItsDigest(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for range 2 {
				size, digest, err := f.PutByDigest(t.Context(), "artifacts/shop", strings.NewReader("hello"))
				if err != nil || size != 5 || digest != digestOf("hello") {
					t.Fatalf("%d bytes, %s, %v", size, digest, err)
				}
				if got := f.get(t, blob.ByDigest("artifacts/shop", digest)); got != "hello" {
					t.Errorf("got %q", got)
				}
			}
			if got := blob.ByDigest("a/b", "sha256:c0ffee"); got != "a/b/c0ffee" {
				t.Errorf("the key is %s", got)
			}
		})
	}
}

func TestAReaderThatFailsLeavesWhatWasThere(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put(t, "artifacts/shop/key", "old")
			for _, problem := range []error{errors.New("the pod has gone"), io.ErrUnexpectedEOF} {
				for _, size := range []int{0, 100, 9 << 20} {
					failing := func() io.Reader {
						return io.MultiReader(strings.NewReader(noise(size)), iotest.ErrReader(problem))
					}
					if _, _, err := f.Put(t.Context(), "artifacts/shop/key", failing()); !errors.Is(err, problem) {
						t.Errorf("%d bytes: %v", size, err)
					}
					if _, _, err := f.PutByDigest(t.Context(), "artifacts/other", failing()); !errors.Is(err, problem) {
						t.Errorf("%d bytes: %v", size, err)
					}
					f.missing(t, blob.ByDigest("artifacts/other", digestOf(noise(size))))
				}
			}
			if got := f.get(t, "artifacts/shop/key"); got != "old" {
				t.Errorf("got %d bytes", len(got))
			}
			f.onlyFile(t, "artifacts/shop/key")
		})
	}
}

// onlyFile wants nothing to be on the disk but the file and what is the store's own.
func (f fixture) onlyFile(t *testing.T, key string) {
	t.Helper()
	err := filepath.WalkDir(f.files, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && name != filepath.Join(f.files, key) && entry.Name() != ".lock" {
			t.Errorf("there is %s", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestReadersSeeOneOfWhatWritersWriteAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			const size = 9 << 20
			whole := func(fill byte) string { return strings.Repeat(string(rune(fill)), size) }
			f.put(t, "key", whole('a'))
			ended := make(chan error)
			writers := []byte("bcdef")
			for _, fill := range writers {
				go func() {
					_, _, err := f.Put(t.Context(), "key", strings.NewReader(whole(fill)))
					ended <- err
				}()
			}
			for left := len(writers); left > 0; {
				select {
				case err := <-ended:
					left--
					if err != nil {
						t.Error(err)
					}
				default:
				}
				if got := f.get(t, "key"); got != whole(got[0]) {
					t.Fatalf("%d bytes are a mixture", len(got))
				}
			}
		})
	}
}

// It is alone, as it counts what all of the process allocates.
func TestALargeFileIsNotHeldInMemory(t *testing.T) {
	const size = 64 << 20
	for name, newFixture := range fixtures() {
		f := newFixture(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		sum := sha256.New()
		_, digest, err := f.Put(t.Context(), "key", io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum))
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := f.Get(t.Context(), "key")
		if err != nil {
			t.Fatal(err)
		}
		read := sha256.New()
		n, err := io.Copy(read, body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > size/2 {
			t.Errorf("%s: %d MiB were allocated", name, allocated>>20)
		}
		if got := fmt.Sprintf("sha256:%x", read.Sum(nil)); n != size || got != digest || got != fmt.Sprintf("sha256:%x", sum.Sum(nil)) {
			t.Errorf("%s: %d bytes with %s, and %s was written", name, n, got, digest)
		}
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.missing(t, "a", "a/b/c")
			f.put(t, "a/b/c", "")
			f.missing(t, "a", "a/b", "a/b/d", "a/b/c/d")
		})
	}
}

func TestOddKeysAreRefused(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			for _, key := range []string{
				"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", ".lock", ".unfinished/a", "a/.b", "A", "a b", "a\n", "a\x00",
				"ä", "a?b", `a\b`, strings.Repeat("a", 201), strings.Repeat("a/", 400) + "a",
			} {
				_, _, put := f.Put(t.Context(), key, strings.NewReader(""))
				_, _, byDigest := f.PutByDigest(t.Context(), key, strings.NewReader(""))
				_, _, get := f.Get(t.Context(), key)
				_, sweep := f.Sweep(t.Context(), key, time.Now())
				for i, err := range []error{put, byDigest, get, sweep, f.DeleteAll(t.Context(), key)} {
					if err == nil || !strings.Contains(err.Error(), "is not a key") {
						t.Errorf("%q, call %d: %v", key, i, err)
					}
				}
			}
			f.put(t, "0/-_/a..b.tar-", "")
		})
	}
}

func TestNothingIsDoneOnceTheContextHasEnded(t *testing.T) {
	t.Parallel()
	for name, newFixture := range fixtures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put(t, "a/b", "old")
			f.age(t, "a/b", time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			// It ends in the middle of a file.
			_, _, middle := f.Put(ctx, "a/b", io.MultiReader(strings.NewReader("new"), readerFunc(func([]byte) (int, error) {
				cancel()
				return 0, nil
			}), bytes.NewReader(make([]byte, 100))))
			_, _, put := f.Put(ctx, "a/b", strings.NewReader("new"))
			_, _, byDigest := f.PutByDigest(ctx, "a", strings.NewReader("new"))
			_, _, get := f.Get(ctx, "a/b")
			_, sweep := f.Sweep(ctx, "a", time.Now())
			for i, err := range []error{middle, put, byDigest, get, sweep, f.DeleteAll(ctx, "a")} {
				if !errors.Is(err, context.Canceled) {
					t.Errorf("call %d: %v", i, err)
				}
			}
			if got := f.get(t, "a/b"); got != "old" {
				t.Errorf("got %q", got)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
