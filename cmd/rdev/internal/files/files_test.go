package files_test

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/files"
)

// inside makes a directory with a neighbour, and opens it.
func inside(t *testing.T) (root *os.Root, outer string) {
	t.Helper()
	outer = t.TempDir()
	if err := os.WriteFile(filepath.Join(outer, "neighbour"), []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(outer, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(outer, "in"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, outer
}

// tree is what is in a directory: files with their content, links with where they lead,
// directories with nothing. What may be carried out ends with *.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			all[name+"/"] = ""
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all[name] = "-> " + target
			return err
		default:
			text, err := os.ReadFile(path)
			if info.Mode()&0o111 != 0 {
				name += "*"
			}
			all[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAFileIsInItsPlaceWholeOrNotAtAll(t *testing.T) {
	root, outer := inside(t)
	write := func(text string, exec, keep bool) {
		t.Helper()
		file, err := files.New(root, "a/b", exec)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Discard()
		for _, part := range []string{strings.Repeat("x", 1<<20), text} { // all of it once more
			if err := file.Restart(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(file, part); err != nil {
				t.Fatal(err)
			}
		}
		if !keep {
			return
		}
		if err := file.Keep(); err != nil {
			t.Fatal(err)
		}
	}
	write("lost", false, false)
	if diff := cmp.Diff(map[string]string{"a/": ""}, tree(t, filepath.Join(outer, "in"))); diff != "" {
		t.Error(diff)
	}
	write("first", false, true)
	write("lost", false, false)
	if diff := cmp.Diff(map[string]string{"a/": "", "a/b": "first"}, tree(t, filepath.Join(outer, "in"))); diff != "" {
		t.Error(diff)
	}
	write("second", true, true)
	if diff := cmp.Diff(map[string]string{"a/": "", "a/b*": "second"}, tree(t, filepath.Join(outer, "in"))); diff != "" {
		t.Error(diff)
	}
}

func TestNoFileLeadsOut(t *testing.T) {
	root, outer := inside(t)
	if err := os.Symlink(outer, filepath.Join(outer, "in", "link")); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"../neighbour", "/neighbour", "a/../../neighbour", "link/neighbour"} {
		if file, err := files.New(root, at, false); err == nil {
			file.Discard()
			t.Errorf("%q was taken", at)
		}
	}
	if text, err := os.ReadFile(filepath.Join(outer, "neighbour")); err != nil || string(text) != "untouched" {
		t.Errorf("the neighbour is %q, %v", text, err)
	}
}

func TestWhatIsInATarFileStaysInTheDirectory(t *testing.T) {
	file := func(name, text string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: text, Mode: 0o600}
	}
	link := func(name, target string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
	}
	dir := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeDir, Name: name} }
	exec := file("b/run", "#!")
	exec.Mode = 0o6755
	for name, test := range map[string]struct {
		entries []tar.Header
		there   []tar.Header // before
		refused string
		want    map[string]string
	}{
		"files": {
			entries: []tar.Header{dir("./"), dir("a/"), file("a/x", "1"), file("./y", "2"), exec, link("l", "a/x"), link("b/up", "../a")},
			want:    map[string]string{"a/": "", "a/x": "1", "y": "2", "b/": "", "b/run*": "#!", "l": "-> a/x", "b/up": "-> ../a"},
		},
		"over what is there": {
			there:   []tar.Header{file("a/x", "old"), file("a/mine", "mine"), link("l", "a/mine")},
			entries: []tar.Header{file("a/x", "new"), file("l", "no link")},
			want:    map[string]string{"a/": "", "a/x": "new", "a/mine": "mine", "l": "no link"},
		},
		"a name above":          {entries: []tar.Header{file("../neighbour", "x")}, refused: "leads out"},
		"an absolute name":      {entries: []tar.Header{file("/tmp/neighbour", "x")}, refused: "leads out"},
		"a hidden name":         {entries: []tar.Header{file("a/../../neighbour", "x")}, refused: "leads out"},
		"a directory above":     {entries: []tar.Header{dir("../d")}, refused: "leads out"},
		"a link above":          {entries: []tar.Header{link("l", "../neighbour")}, refused: "outside"},
		"a link further above":  {entries: []tar.Header{link("a/l", "../../neighbour")}, refused: "outside"},
		"an absolute link":      {entries: []tar.Header{link("l", "/etc/passwd")}, refused: "outside"},
		"a link below a link":   {entries: []tar.Header{link("s", "."), link("s/l", "../neighbour")}, refused: "no directory"},
		"a link by way of one":  {entries: []tar.Header{link("d", "."), link("l", "d/..")}, want: map[string]string{"d": "-> .", "l": "-> ."}},
		"a file below a link":   {entries: []tar.Header{link("s", "a"), dir("a"), file("s/x", "1")}, refused: "no directory"},
		"a hard link":           {entries: []tar.Header{file("x", "1"), {Typeflag: tar.TypeLink, Name: "l", Linkname: "x"}}, refused: "type '1'"},
		"a device":              {entries: []tar.Header{{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}}, refused: "type '3'"},
		"a long name":           {entries: []tar.Header{file(strings.Repeat("x", 5000), "1")}, refused: "5000 bytes"},
		"a deep one":            {entries: []tar.Header{file(strings.Repeat("x/", 200)+"x", "1")}, refused: "too long"},
		"a long link":           {entries: []tar.Header{link("l", strings.Repeat("x", 5000))}, refused: "too long"},
		"the directory a file":  {entries: []tar.Header{file(".", "x")}, refused: `"."`},
		"a file in place of it": {there: []tar.Header{file("a/x", "1")}, entries: []tar.Header{file("a", "x")}, refused: `"a"`},
	} {
		t.Run(name, func(t *testing.T) {
			root, outer := inside(t)
			if err := unpack(root, test.there); err != nil {
				t.Fatal(err)
			}
			err := unpack(root, test.entries)
			if (test.refused == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
			if diff := cmp.Diff(test.want, tree(t, filepath.Join(outer, "in"))); test.want != nil && diff != "" {
				t.Error(diff)
			}
			if text, err := os.ReadFile(filepath.Join(outer, "neighbour")); err != nil || string(text) != "untouched" {
				t.Errorf("the neighbour is %q, %v", text, err)
			}
			if left := tree(t, outer); len(left) != len(tree(t, filepath.Join(outer, "in")))+2 {
				t.Errorf("outside there is %v", left)
			}
		})
	}
}

// unpack unpacks a tar file of some entries; Linkname of a file is what it holds.
func unpack(root *os.Root, entries []tar.Header) error {
	text := packed(entries)
	return files.Unpack(root, bytes.NewReader(text), int64(len(text)))
}

func packed(entries []tar.Header) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, header := range entries {
		text := ""
		if header.Typeflag == tar.TypeReg {
			text, header.Linkname, header.Size = header.Linkname, "", int64(len(header.Linkname))
		}
		_ = w.WriteHeader(&header)
		_, _ = io.WriteString(w, text)
	}
	_ = w.Close()
	return out.Bytes()
}

func TestATarFileHoldsNoMoreThanItIs(t *testing.T) {
	root, _ := inside(t)
	text := packed([]tar.Header{{Typeflag: tar.TypeReg, Name: "a", Linkname: "12345", Mode: 0o600}, {Typeflag: tar.TypeReg, Name: "b", Linkname: "12345", Mode: 0o600}})
	if err := files.Unpack(root, bytes.NewReader(text), 10); err != nil {
		t.Error(err)
	}
	if err := files.Unpack(root, bytes.NewReader(text), 9); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("error %v, want that it is too large", err)
	}
	if err := files.Unpack(root, bytes.NewReader(text[:514]), 10); err == nil {
		t.Error("half a file was taken")
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(packed([]tar.Header{{Typeflag: tar.TypeReg, Name: "a/b", Linkname: "text", Mode: 0o755}, {Typeflag: tar.TypeSymlink, Name: "l", Linkname: "a"}}))
	f.Add(packed([]tar.Header{{Typeflag: tar.TypeSymlink, Name: "d", Linkname: "."}, {Typeflag: tar.TypeReg, Name: "d/../../x", Linkname: "text"}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		root, outer := inside(t)
		_ = files.Unpack(root, bytes.NewReader(text), int64(len(text)))
		entries, err := os.ReadDir(outer)
		if err != nil || len(entries) != 2 {
			t.Errorf("outside there is %v, %v", entries, err)
		}
		// No link leads out either.
		err = filepath.WalkDir(root.Name(), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Type()&fs.ModeSymlink == 0 {
				return err
			}
			if at, err := filepath.EvalSymlinks(path); err == nil && at != root.Name() && !strings.HasPrefix(at, root.Name()+string(filepath.Separator)) {
				t.Errorf("%s leads to %s", path, at)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
