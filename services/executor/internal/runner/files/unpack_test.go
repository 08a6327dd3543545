package files_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/files"
)

// tarOf writes a tar file; a header without a type is that of a file, whose content
// its Linkname is.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 {
			content, h.Linkname, h.Typeflag = h.Linkname, "", tar.TypeReg
			h.Size = int64(len(content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		err := writer.WriteHeader(&h)
		if err == nil {
			_, err = io.WriteString(writer, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// place unpacks into a new directory and merges that into one.
func place(t testing.TB, dir string, in []byte, at domain.Placing) error {
	t.Helper()
	from := openRoot(t, t.TempDir())
	dirs, err := files.Unpack(from, bytes.NewReader(in), at)
	if err != nil {
		return err
	}
	return files.Merge(from, openRoot(t, dir), dirs)
}

func homeTar() domain.Placing {
	return domain.Placing{At: ".", Form: domain.FormTar, Limit: 1 << 20}
}

func wantFile(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	text, err := os.ReadFile(path)
	info, statErr := os.Lstat(path)
	if errors.Join(err, statErr) != nil || string(text) != content || info.Mode() != mode {
		t.Errorf("%s is %q, %v, want %q with mode %v: %v", path, text, info, content, mode, errors.Join(err, statErr))
	}
}

func TestOfATarFileNoMoreIsTakenThanWasAskedFor(t *testing.T) {
	home := t.TempDir()
	at := homeTar()
	at.Only = []string{"go/pkg", ".npm"}
	in := tarOf(t,
		tar.Header{Name: "go/pkg/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "go/pkg/mod/x", Linkname: "x"}, tar.Header{Name: ".npm", Linkname: "a file"},
		tar.Header{Name: ".gitconfig", Linkname: "evil"}, tar.Header{Name: "go/bin/", Typeflag: tar.TypeDir, Mode: 0o755}, tar.Header{Name: "go/pkg-not/x", Linkname: "evil"},
		tar.Header{Name: "go/x", Typeflag: tar.TypeSymlink, Linkname: "pkg"}, tar.Header{Name: "inputs/build/run", Linkname: "evil"},
	)
	if err := place(t, home, in, at); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(home, "go", "pkg", "mod", "x"), "x", 0o644)
	wantFile(t, filepath.Join(home, ".npm"), "a file", 0o644)
	for dir, want := range map[string]int{".": 2, "go": 1} {
		if entries, err := os.ReadDir(filepath.Join(home, dir)); err != nil || len(entries) != want {
			t.Errorf("%s has %v, %v", dir, entries, err)
		}
	}
}

func TestATarFileIsUnpackedWithItsModesAndLinks(t *testing.T) {
	home := t.TempDir()
	long := strings.Repeat("länge/", 30) + "datei"
	in := tarOf(t,
		tar.Header{Name: "mod/", Typeflag: tar.TypeDir, Mode: 0o555, ModTime: time.Unix(1700000000, 0)},
		tar.Header{Name: "mod/run", Linkname: "#!", Mode: 0o4755, ModTime: time.Unix(1700000000, 0)},
		tar.Header{Name: "mod/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		tar.Header{Name: "empty"},
		tar.Header{Name: long, Linkname: "deep"},
	)
	for range 2 { // again is harmless
		if err := place(t, home, in, homeTar()); err != nil {
			t.Fatal(err)
		}
	}
	wantFile(t, filepath.Join(home, "mod", "run"), "#!", 0o755)
	wantFile(t, filepath.Join(home, "empty"), "", 0o644)
	wantFile(t, filepath.Join(home, long), "deep", 0o644)
	info, err := os.Stat(filepath.Join(home, "mod"))
	if err != nil || info.Mode().Perm() != 0o555 || info.ModTime().Unix() != 1700000000 {
		t.Errorf("the directory is %v, %v", info, err)
	}
	if link, err := os.Readlink(filepath.Join(home, "mod", "link")); err != nil || link != "/etc/passwd" {
		t.Errorf("the link leads to %q, %v", link, err)
	}
	if err := os.Chmod(filepath.Join(home, "mod"), 0o700); err != nil { // so that it can be removed
		t.Error(err)
	}
}

func TestWhatIsPlacedJoinsWhatIsThere(t *testing.T) {
	home := t.TempDir()
	outside := t.TempDir()
	for _, in := range [][]byte{
		tarOf(t, tar.Header{Name: "a/old", Linkname: "old"}, tar.Header{Name: "a/both", Linkname: "old"}, tar.Header{Name: "file", Linkname: "x"},
			tar.Header{Name: "dir/x", Linkname: "x"}, tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: outside}),
		tarOf(t, tar.Header{Name: "a/both", Linkname: "new"}, tar.Header{Name: "a/new", Linkname: "new"}, tar.Header{Name: "file/y", Linkname: "y"},
			tar.Header{Name: "dir", Linkname: "file"}, tar.Header{Name: "out/in", Linkname: "in"}),
	} {
		if err := place(t, home, in, homeTar()); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"a/old": "old", "a/both": "new", "a/new": "new", "file/y": "y", "dir": "file", "out/in": "in"} {
		wantFile(t, filepath.Join(home, name), want, 0o644)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("a symbolic link was followed: %v, %v", left, err)
	}
}

func TestNothingIsPlacedOfWhatIsNotAsItShouldBe(t *testing.T) {
	good := tar.Header{Name: "good", Linkname: "good"}
	small := func(in []byte) []byte {
		encoder, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return encoder.EncodeAll(in, nil)
	}
	whole := tarOf(t, good, tar.Header{Name: "more", Linkname: strings.Repeat("more", 1000)})
	zst := domain.Placing{At: ".", Form: domain.FormTarZstd, Limit: 1 << 20}
	tests := map[string]struct {
		in []byte
		at domain.Placing
	}{
		"out":             {tarOf(t, good, tar.Header{Name: "../out", Linkname: "x"}), homeTar()},
		"out in between":  {tarOf(t, good, tar.Header{Name: "a/../../out", Linkname: "x"}), homeTar()},
		"absolute":        {tarOf(t, good, tar.Header{Name: "/tmp/out", Linkname: "x"}), homeTar()},
		"through a link":  {tarOf(t, good, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, tar.Header{Name: "l/out", Linkname: "x"}), homeTar()},
		"through a near":  {tarOf(t, good, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "."}, tar.Header{Name: "l/out", Linkname: "x"}), homeTar()},
		"over a link":     {tarOf(t, good, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "/tmp/out"}, tar.Header{Name: "l", Linkname: "x"}), homeTar()},
		"over a near":     {tarOf(t, good, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "good"}, tar.Header{Name: "l", Linkname: "x"}), homeTar()},
		"twice":           {tarOf(t, good, good), homeTar()},
		"a hard link":     {tarOf(t, good, tar.Header{Name: "l", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}), homeTar()},
		"a device":        {tarOf(t, good, tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}), homeTar()},
		"a pipe":          {tarOf(t, good, tar.Header{Name: "pipe", Typeflag: tar.TypeFifo}), homeTar()},
		"too much":        {tarOf(t, good, tar.Header{Name: "big", Linkname: strings.Repeat("x", 1<<20)}), homeTar()},
		"too deep":        {tarOf(t, good, tar.Header{Name: strings.Repeat("d/", 1000) + "x", Linkname: "x"}), homeTar()},
		"cut":             {whole[:len(whole)-2048], homeTar()},
		"no tar file":     {[]byte(strings.Repeat("no", 1024)), homeTar()},
		"a place outside": {whole, domain.Placing{At: "../x", Form: domain.FormTar, Limit: 1 << 20}},
		"no form":         {whole, domain.Placing{At: ".", Limit: 1 << 20}},
		"cut, small":      {small(whole)[:50], zst},
		"damaged, small":  {append(small(whole)[:60], small(whole)[61:]...), zst},
		"a bomb":          {small(tarOf(t, good, tar.Header{Name: "big", Linkname: strings.Repeat("x", 1<<21)})), zst},
		"a large file":    {make([]byte, 101), domain.Placing{At: "f", Form: domain.FormFile, Limit: 100}},
		"a file nowhere":  {whole, domain.Placing{At: ".", Form: domain.FormFile, Limit: 1 << 20}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			err := place(t, home, test.in, test.at)
			if _, ok := errors.AsType[*domain.FilesError](err); !ok {
				t.Errorf("it said %v", err)
			}
			if there, err := os.ReadDir(home); err != nil || len(there) > 0 {
				t.Errorf("there is %v, %v", there, err)
			}
		})
	}
	if err := place(t, t.TempDir(), small(whole), zst); err != nil {
		t.Errorf("whole: %v", err)
	}
}

func TestAFileIsPlacedByItself(t *testing.T) {
	home := t.TempDir()
	for exec, mode := range map[bool]os.FileMode{false: 0o644, true: 0o755} {
		at := domain.Placing{At: "inputs/build/bin/shop", Form: domain.FormFile, Exec: exec, Limit: 4}
		if err := place(t, home, []byte("shop"), at); err != nil {
			t.Fatal(err)
		}
		wantFile(t, filepath.Join(home, "inputs/build/bin/shop"), "shop", mode)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "a/b", Linkname: "x"}, tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: ".."}, tar.Header{Name: "d/", Typeflag: tar.TypeDir}))
	f.Add(tarOf(f, tar.Header{Name: "../a", Linkname: "x"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		beside := t.TempDir()
		home := filepath.Join(beside, "home")
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		// A directory that it closed cannot be merged into by others than root.
		_ = place(t, home, in, homeTar())
		if there, err := os.ReadDir(beside); err != nil || len(there) != 1 {
			t.Errorf("beside it there is %v, %v", there, err)
		}
		_ = filepath.WalkDir(home, func(path string, entry os.DirEntry, _ error) error {
			if entry.IsDir() {
				return os.Chmod(path, 0o700)
			}
			return nil
		})
	})
}
