package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// grow makes a tree, and has it filled.
func grow(t *testing.T, fill func(*tree) error) *tree {
	t.Helper()
	made, err := newTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = made.close() })
	if err := fill(made); err != nil {
		t.Fatal(err)
	}
	return made
}

// entries are the lines of a tar: kind, mode, owner, name, and what is in it.
func entries(t *testing.T, r io.Reader) []string {
	t.Helper()
	var lines []string
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Uid != h.Gid || h.Uname != "" {
			t.Errorf("%s was made at %s by %s, %d:%d", h.Name, h.ModTime, h.Uname, h.Uid, h.Gid)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%c %04o %d %s %s%s", h.Typeflag, h.Mode, h.Uid, h.Name, h.Linkname, content))
	}
}

func written(t *testing.T, made *tree) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := made.write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func text(s string) io.Reader { return strings.NewReader(s) }

func TestALayerHoldsWhatWasPutIntoItInTheOrderOfItsPaths(t *testing.T) {
	made := grow(t, func(made *tree) error {
		made.dir("workspace", 0o755, 1000)
		made.dir("./tmp/", fs.ModeSticky|0o777, 0)
		made.symlink("usr/local/bin/tool", "/opt/tool")
		return errors.Join(
			made.file("usr/bin/git", 0o755, text("git")),
			made.link("usr/bin/git-add", "usr/bin/git"),
			made.link("usr/bin/Git", "./usr/bin/git"),
			made.file("etc/passwd", fs.ModeSetuid|0o644, text("")),
		)
	})
	want := []string{
		"5 0755 0 etc/ ",
		"0 0644 0 etc/passwd ",
		"5 1777 0 tmp/ ",
		"5 0755 0 usr/ ",
		"5 0755 0 usr/bin/ ",
		"0 0755 0 usr/bin/Git git",
		"1 0755 0 usr/bin/git usr/bin/Git",
		"1 0755 0 usr/bin/git-add usr/bin/Git",
		"5 0755 0 usr/local/ ",
		"5 0755 0 usr/local/bin/ ",
		"2 0777 0 usr/local/bin/tool /opt/tool",
		"5 0755 1000 workspace/ ",
	}
	if got := entries(t, bytes.NewReader(written(t, made))); !slices.Equal(got, want) {
		t.Errorf("the layer holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheSameContentMakesTheSameBytes(t *testing.T) {
	puts := []func(*tree) error{
		func(made *tree) error { return made.file("b/x", 0o644, text("one")) },
		func(made *tree) error { return made.file("a/y", 0o600, text("two")) },
		func(made *tree) error { made.symlink("c", "a"); return nil },
		func(made *tree) error { made.dir("d", 0o700, 1000); return nil },
	}
	all := func(made *tree) (err error) {
		for _, put := range puts {
			err = errors.Join(err, put(made))
		}
		return err
	}
	first := written(t, grow(t, all))
	slices.Reverse(puts)
	if !bytes.Equal(first, written(t, grow(t, all))) {
		t.Error("the order in which files are put in shows in the layer")
	}
}

func TestWhatIsPutBelowALinkGoesToWhereItLeads(t *testing.T) {
	made := grow(t, func(made *tree) error {
		made.dir("usr/bin", 0o755, 0)
		made.symlink("bin", "usr/bin")
		made.symlink("sbin", "/bin")
		made.dir("bin", 0o755, 0) // as in a package that knows nothing of the link
		made.symlink("loop", "loop/loop")
		return errors.Join(
			made.file("bin/dash", 0o755, text("dash")),
			made.file("sbin/ip", 0o755, text("ip")),
			made.link("bin/sh", "./bin/dash"),
			made.file("../../escaped", 0o644, text("")),
			made.file("loop/x", 0o644, text("")),
		)
	})
	for _, name := range []string{"usr/bin/dash", "usr/bin/ip", "usr/bin/sh", "escaped"} {
		if made.nodes[name] == nil {
			t.Errorf("%s is not where it belongs", name)
		}
	}
	if n := made.nodes["bin"]; n == nil || n.kind != tar.TypeSymlink {
		t.Error("a directory took the place of a link to one")
	}
	if content, err := made.read("bin/sh"); string(content) != "dash" || err != nil {
		t.Errorf("sh is %q, %v", content, err)
	}
}

func TestALinkToNothingIsRefused(t *testing.T) {
	made := grow(t, func(*tree) error { return nil })
	if err := made.link("a", "b"); err == nil {
		t.Error("a is a link to b, which does not exist")
	}
	if _, err := made.read("b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read what does not exist: %v", err)
	}
}

func TestAPackageLeavesItsManualsAndItsRootRightsBehind(t *testing.T) {
	var deb bytes.Buffer
	w := tar.NewWriter(&deb)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./usr/bin/", Mode: 0o755, Uid: 7, Uname: "daemon"},
		{Typeflag: tar.TypeReg, Name: "./usr/bin/su", Mode: 0o4755, Uid: 7},
		{Typeflag: tar.TypeLink, Name: "./usr/bin/sg", Linkname: "./usr/bin/su"},
		{Typeflag: tar.TypeSymlink, Name: "./usr/bin/s", Linkname: "su"},
		{Typeflag: tar.TypeReg, Name: "./usr/share/man/man1/su.1.gz", Mode: 0o644},
		{Typeflag: tar.TypeReg, Name: "./usr/share/doc/su/README", Mode: 0o644},
		{Typeflag: tar.TypeReg, Name: "./usr/share/doc/su/copyright", Mode: 0o644},
		{Typeflag: tar.TypeChar, Name: "./dev/null", Mode: 0o666},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	made := grow(t, func(made *tree) error { return addTar(made, &deb) })
	want := []string{
		"5 0755 0 usr/ ", "5 0755 0 usr/bin/ ", "2 0777 0 usr/bin/s su", "0 0755 0 usr/bin/sg ", "1 0755 0 usr/bin/su usr/bin/sg",
		"5 0755 0 usr/share/ ", "5 0755 0 usr/share/doc/ ", "5 0755 0 usr/share/doc/su/ ", "0 0644 0 usr/share/doc/su/copyright ",
	}
	if got := entries(t, bytes.NewReader(written(t, made))); !slices.Equal(got, want) {
		t.Errorf("the layer holds\n%s", strings.Join(got, "\n"))
	}
}

func TestTheBundleHoldsEveryAuthorityOnce(t *testing.T) {
	made := grow(t, func(made *tree) error {
		return errors.Join(
			made.file("usr/share/ca-certificates/mozilla/B.crt", 0o644, text("B\n")),
			made.file("usr/share/ca-certificates/mozilla/A.crt", 0o644, text("A\n")),
			trust(made),
		)
	})
	if bundle, err := made.read(bundlePath); string(bundle) != "A\nB\n" || err != nil {
		t.Errorf("the bundle is %q, %v", bundle, err)
	}
}
