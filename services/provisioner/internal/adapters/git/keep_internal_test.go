package git

import (
	"os"
	"strings"
	"testing"
)

func TestAnAdoptedRepositoryIsServedAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"team/site.git", "shop.git"} {
		w.foreignRepository(name, "trunk")
	}
	for slug, name := range map[string]string{"blog": "team/site.git", "shop": "shop.git"} {
		before := there(t, w.path(name))
		if _, err := w.Plan(t.Context(), slug, name); err != nil {
			t.Fatal(err)
		}
		r := w.create(slug, name)
		if r.Name != name || r.Branch != "trunk" || !strings.HasSuffix(r.CloneURL, "/git/"+slug+".git") {
			t.Errorf("it is %+v", r)
		}
		access := w.granted(r)
		if again := w.create(slug, name); again != r {
			t.Errorf("made again it is %+v", again)
		}
		w.must("clone", "-q", access, slug)
		if differences, err := w.Verify(t.Context(), slug, name); err != nil || len(differences) > 0 {
			t.Errorf("%v, %v", differences, err)
		}
		if after := there(t, w.path(name)); after != before {
			t.Errorf("adopted, there was\n%s\nand is\n%s", before, after)
		}
		if _, err := w.Plan(t.Context(), "third", name); !strings.Contains(userFailure(err), "is adopted by the project "+slug+" already") {
			t.Errorf("once more: %v", err)
		}
		commit, err := w.commitFiles(r, w.head(r), "op", "file")
		if err != nil {
			t.Fatal(err)
		}
		w.must("-C", slug, "pull", "-q")
		w.write(slug, "more", nil)
		w.must("-C", slug, "push", "-q", "origin", "trunk")
		if w.must("-C", slug, "rev-parse", "HEAD~") != commit {
			t.Error("the commit is not what was cloned")
		}
		before = there(t, w.path(name))
		for _, end := range []func() error{
			func() error { return w.Remove(t.Context(), slug, name) }, func() error { w.create(slug, name); return w.Release(t.Context(), slug, name) },
		} {
			w.check(end())
			w.refused("Authentication failed", "ls-remote", access)
			if after := there(t, w.path(name)); after != before {
				t.Errorf("let go, there was\n%s\nand is\n%s", before, after)
			}
		}
	}
	w.create("own", "")
	if _, err := w.Plan(t.Context(), "shop", "own.git"); !strings.Contains(userFailure(err), "is the own repository of a project") {
		t.Errorf("of another project: %v", err)
	}
	w.must("--git-dir="+w.path("shop.git"), "update-ref", "--no-deref", "HEAD", "refs/heads/trunk")
	if _, err := w.Plan(t.Context(), "shop", "shop.git"); !strings.Contains(userFailure(err), "is no branch") {
		t.Errorf("without a branch: %v", err)
	}
	// One that is released can be adopted.
	own := w.create("own", "")
	if _, err := w.commitFiles(own, "", "op", "kept"); err != nil {
		t.Fatal(err)
	}
	head := w.head(own)
	for range 2 {
		w.check(w.Release(t.Context(), "own", ""))
	}
	if _, err := w.Plan(t.Context(), "own", ""); userFailure(err) == "" {
		t.Errorf("released, it is still ours: %v", err)
	}
	if next := w.create("next", "own.git"); w.head(next) != head {
		t.Errorf("adopted it has %q", w.head(next))
	}
}

// Who changes over to another repository has no token for it, and none for the one before.
func TestATokenIsOfOneRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.foreignRepository("a.git", "main")
	w.foreignRepository("b.git", "main")
	for _, adopt := range []string{"a.git", "b.git", "", "a.git"} {
		access := w.granted(w.create("shop", adopt))
		w.must("ls-remote", access)
		other := "b.git"
		if adopt == other {
			other = "a.git"
		}
		w.create("shop", other)
		w.refused("Authentication failed", "ls-remote", access)
	}
}

func TestDifferencesAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verify := func(adopt string, want ...string) {
		t.Helper()
		before := there(t, w.dir)
		differences, err := w.Verify(t.Context(), "shop", adopt)
		if err != nil || len(differences) != len(want) {
			t.Fatalf("%q, %v", differences, err)
		}
		for i := range want {
			if !strings.Contains(differences[i], want[i]) {
				t.Errorf("%q, want %q", differences[i], want[i])
			}
		}
		if there(t, w.dir) != before {
			t.Error("something changed")
		}
	}
	verify("", "is not there, or not whole", "there is no token")
	r := w.create("shop", "")
	verify("", "there is no token")
	w.granted(r)
	verify("")
	w.check(os.Remove(w.path("shop.git/HEAD")))
	verify("", "is not there, or not whole")
	w.check(os.Remove(w.path("shop.git/config")))
	verify("", "is not this installation's")
	w.check(os.RemoveAll(w.path("shop.git")))
	verify("", "is not there, or not whole")
	w.foreignRepository("a.git", "main")
	verify("a.git", `noted as adopted from "", not from "a.git"`)
	verify("b.git", "there is no bare repository b.git")
	w.check(os.Remove(w.path("shop.token")))
	w.foreignRepository("shop.token", "main")
	verify("", "shop.token is there, and is not this installation's")
}

// What is half gone goes as well.
func TestARepositoryIsRemovedOnceAndWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, gone := range []string{"", "HEAD", "objects", "refs"} {
		r := w.create("shop", "")
		access := w.granted(r)
		neighbor := w.create("shop-2", "")
		if _, err := w.commitFiles(r, "", "op", "file"); err != nil {
			t.Fatal(err)
		}
		if gone != "" {
			w.check(os.RemoveAll(w.path("shop.git/" + gone)))
		}
		w.check(os.MkdirAll(w.path(w.workDir()+"/shop.old.X/objects"), 0o700))
		w.check(os.MkdirAll(w.path(w.workDir()+"/shop-2.old.X"), 0o700))
		for range 2 {
			w.check(w.Remove(t.Context(), "shop", ""))
		}
		if left := there(t, w.dir, "shop-2.git", w.workDir()+"/shop-2.old.X"); strings.Contains(left, "shop") {
			t.Errorf("left is\n%s", left)
		}
		w.refused("Authentication failed", "ls-remote", access)
		if w.head(neighbor) != "" {
			t.Error("the neighbor has changed")
		}
		if _, err := w.Head(t.Context(), r); err == nil {
			t.Error("it has a head")
		}
	}
}
