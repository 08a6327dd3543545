package files_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/files"
)

// workspace makes files; a name that ends with * may be carried out.
func workspace(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		mode := os.FileMode(0o600)
		name, exec := strings.CutSuffix(name, "*")
		if exec {
			mode = 0o711
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func artifacts(t *testing.T, dir string, patterns ...string) (all []domain.Kept, content map[string]string, err error) {
	t.Helper()
	var out bytes.Buffer
	if err := files.Artifacts(openRoot(t, dir), patterns, 10, 1<<20, &out); err != nil {
		return nil, nil, err
	}
	content = map[string]string{}
	err = files.ReadArtifacts(&out, func(kept domain.Kept, body io.Reader) error {
		text, err := io.ReadAll(body)
		all, content[kept.Path] = append(all, kept), string(text)
		return err
	})
	return all, content, err
}

func TestArtifactsAreWhatThePatternsMatch(t *testing.T) {
	dir := workspace(t, map[string]string{
		"bin/shop*": "shop", "bin/admin*": "admin", "bin/README": "no", "empty": "", "with space/ünï": "u", "dist/a/b": "b", "dist/c*": "c",
		"dist/" + strings.Repeat("läng", 40): "long", "x.tar": "tar",
	})
	link(t, "bin/shop", filepath.Join(dir, "latest"))
	link(t, "a/b", filepath.Join(dir, "dist", "link"))
	if err := syscall.Mkfifo(filepath.Join(dir, "dist", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, content, err := artifacts(t, dir, "with space/ünï", "dist", "bin/[sa]*", "empty", "latest", "bin/shop", "x.tar")
	if err != nil {
		t.Fatal(err)
	}
	tree := int64(len(content["dist.tar"]))
	want := []domain.Kept{
		{Path: "bin/admin", Size: 5, Exec: true},
		{Path: "bin/shop", Size: 4, Exec: true},
		{Path: "dist.tar", Size: tree, Dir: true},
		{Path: "empty"},
		{Path: "latest", Size: 4, Exec: true},
		{Path: "with space/ünï", Size: 1},
		{Path: "x.tar", Size: 3},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if content["latest"] != "shop" || content["x.tar"] != "tar" {
		t.Errorf("content %q", content)
	}
	home := t.TempDir()
	if err := place(t, home, []byte(content["dist.tar"]), domain.Placing{At: "inputs/build/dist", Form: domain.FormTar, Limit: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(home, "inputs/build/dist")
	wantFile(t, filepath.Join(at, "a/b"), "b", 0o644)
	wantFile(t, filepath.Join(at, "c"), "c", 0o755)
	wantFile(t, filepath.Join(at, strings.Repeat("läng", 40)), "long", 0o644)
	if to, err := os.Readlink(filepath.Join(at, "link")); err != nil || to != "a/b" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	if there, err := os.ReadDir(at); err != nil || len(there) != 4 {
		t.Errorf("there is %v, %v", there, err)
	}
}

func TestTheTarFileOfADirectoryDependsOnItsContentAlone(t *testing.T) {
	content := map[string]string{"d/b": "b", "d/a/x*": "x", "d/c": ""}
	_, first, err := artifacts(t, workspace(t, content), "d")
	if err != nil {
		t.Fatal(err)
	}
	other := workspace(t, content)
	err = errors.Join(os.Chtimes(filepath.Join(other, "d/b"), time.Unix(1, 0), time.Unix(1, 0)), os.Chmod(filepath.Join(other, "d/c"), 0o664), os.Chmod(filepath.Join(other, "d/a"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	if _, second, err := artifacts(t, other, "d"); err != nil || first["d.tar"] == "" || first["d.tar"] != second["d.tar"] {
		t.Errorf("%d bytes and then %d others: %v", len(first["d.tar"]), len(second["d.tar"]), err)
	}
}

func TestNothingOutsideTheWorkspaceIsAnArtifact(t *testing.T) {
	outside := workspace(t, map[string]string{"secret": "secret", "sub/secret": "secret"})
	dir := workspace(t, map[string]string{"in/file": "x"})
	link(t, filepath.Join(outside, "secret"), filepath.Join(dir, "out"))
	link(t, outside, filepath.Join(dir, "dir"))
	link(t, "../"+filepath.Base(outside), filepath.Join(dir, "up"))
	link(t, outside, filepath.Join(dir, "in", "dir"))
	link(t, "out", filepath.Join(dir, "again"))
	for _, pattern := range []string{"out", "again", "dir", "dir/secret", "dir/*", "dir/sub", "*/secret", "up", "up/*", "in/dir/*", "../*", "/etc/passwd", "in/../../x", ".", "", "in/"} {
		if all, _, err := artifacts(t, dir, pattern); err == nil {
			t.Errorf("%q: there is %+v", pattern, all)
		} else if _, ok := errors.AsType[*domain.FilesError](err); !ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	all, content, err := artifacts(t, dir, "*")
	if err != nil || len(all) != 1 || strings.Contains(content["in.tar"], "secret") {
		t.Errorf("of all there is %+v, %v", all, err)
	}
}

func TestArtifactsThatCannotBeKeptAreNamed(t *testing.T) {
	dir := workspace(t, map[string]string{"d/x": "x", "d.tar": "t", "big": strings.Repeat("x", 1<<20+1), "deep/file": strings.Repeat("x", 1<<20)})
	for i := range 11 {
		if err := os.WriteFile(filepath.Join(dir, "many-"+strings.Repeat("x", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, patterns := range map[string][]string{
		`artifact "bin/shop" is not there`:                {"d", "bin/shop"},
		`artifacts "bin/*", "etc" are not there`:          {"bin/*", "d", "etc"},
		`artifact "[": syntax error in pattern`:           {"["},
		"the artifacts are larger than 1 MiB":             {"big"},
		`there are 11 artifacts, and may be 10`:           {"many-*"},
		`the artifacts "d" and "d.tar" would have the sa`: {"d", "d.tar"},
	} {
		_, _, err := artifacts(t, dir, patterns...)
		if known, ok := errors.AsType[*domain.FilesError](err); !ok || !strings.Contains(known.Reason, want) {
			t.Errorf("%q: %v, want %q", patterns, err, want)
		}
	}
	if _, _, err := artifacts(t, dir, "deep"); err == nil {
		t.Error("the tar file of a directory may be larger than its files may")
	}
}

func TestACacheComesBackAsItWas(t *testing.T) {
	home := workspace(t, map[string]string{"go/pkg/mod/a*": "a", "go/pkg/mod/sub/b": "b", ".npm/c": "c", "other": "no"})
	link(t, "../nowhere", filepath.Join(home, ".npm", "link"))
	link(t, "/etc", filepath.Join(home, ".npm", "etc"))
	old := time.Unix(1600000000, 0)
	err := errors.Join(os.Chtimes(filepath.Join(home, ".npm/c"), old, old), os.Chmod(filepath.Join(home, "go/pkg/mod/sub"), 0o555))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := files.Cache(openRoot(t, home), []string{".npm", "go/pkg/mod", "go/pkg/mod/sub", "missing"}, 1<<20, &out); err != nil {
		t.Fatal(err)
	}
	next := t.TempDir()
	if err := place(t, next, out.Bytes(), domain.Placing{At: ".", Form: domain.FormTarZstd, Limit: 3}); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(next, "go/pkg/mod/a"), "a", 0o711)
	wantFile(t, filepath.Join(next, "go/pkg/mod/sub/b"), "b", 0o600)
	wantFile(t, filepath.Join(next, ".npm/c"), "c", 0o600)
	if info, err := os.Stat(filepath.Join(next, ".npm/c")); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("it is of %v, %v", info, err)
	}
	for name, want := range map[string]string{"link": "../nowhere", "etc": "/etc"} {
		if to, err := os.Readlink(filepath.Join(next, ".npm", name)); err != nil || to != want {
			t.Errorf("%s leads to %q, %v", name, to, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(next, "other")); err == nil {
		t.Error("it has what was not asked for")
	}
	if info, err := os.Stat(filepath.Join(next, "go/pkg/mod/sub")); err != nil || info.Mode().Perm() != 0o555 {
		t.Errorf("the directory is %v, %v", info, err)
	}
	for _, dir := range []string{home, next} {
		if err := os.Chmod(filepath.Join(dir, "go/pkg/mod/sub"), 0o700); err != nil {
			t.Error(err)
		}
	}
}

func TestACacheThatIsTooLargeIsToldBeforeAnythingIsSent(t *testing.T) {
	home := workspace(t, map[string]string{"a/x": "123", "b/y": "456"})
	var out bytes.Buffer
	err := files.Cache(openRoot(t, home), []string{"a", "b"}, 5, &out)
	if _, ok := errors.AsType[*domain.FilesError](err); !ok || out.Len() > 0 {
		t.Errorf("after %d bytes: %v", out.Len(), err)
	}
	for _, path := range []string{"../a", "/etc", ".", "a/", ""} {
		if err := files.Cache(openRoot(t, home), []string{path}, 5, &out); err == nil {
			t.Errorf("%q is a cache", path)
		}
	}
}

func TestTheTarFileOfADirectoryCanBeReadByAnybody(t *testing.T) {
	_, content, err := artifacts(t, workspace(t, map[string]string{"d/x": "x"}), "d")
	if err != nil {
		t.Fatal(err)
	}
	h, err := tar.NewReader(strings.NewReader(content["d.tar"])).Next()
	if err != nil || h.Name != "x" || h.Uid != 0 || h.Uname != "" || h.ModTime.Unix() != 0 {
		t.Errorf("its first file is %+v, %v", h, err)
	}
}
