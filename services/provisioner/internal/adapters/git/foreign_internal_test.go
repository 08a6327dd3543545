package git

import (
	"errors"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// mark gives a repository of somebody else's the settings of one of ours.
func (w *world) mark(name string, settings ...string) {
	w.t.Helper()
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		w.must("config", "--file", filepath.Join(w.path(name), "config"), "--add", "rdev."+key, value)
	}
}

// everything calls all that changes something for a project.
func (w *world) everything(slug, adopt string) map[string]error {
	name := ownName(slug)
	if adopt != "" {
		name = adopt
	}
	r := w.repository(slug, name, branch)
	ctx := w.t.Context()
	_, planned := w.Plan(ctx, slug, adopt)
	_, created := w.Create(ctx, slug, adopt)
	_, granted := w.Grant(ctx, slug, r)
	_, committed := w.commitFiles(r, "", "op", "file")
	_, verified := w.Verify(ctx, slug, adopt)
	return map[string]error{
		"plan": planned, "create": created, "grant": granted, "commit": committed, "verify": verified,
		"release": w.Release(ctx, slug, adopt), "remove": w.Remove(ctx, slug, adopt),
	}
}

// Names that we use, and others, are filled with all kinds of things: none of them
// changes.
func TestWhatIsNotMarkedIsNeverChanged(t *testing.T) {
	t.Parallel()
	random := mathrand.New(mathrand.NewPCG(3, 4))
	for round := range 64 {
		w := newWorld(t)
		outside := filepath.Join(filepath.Dir(w.dir), "outside")
		w.foreignRepository("../outside", "main")
		w.mark("../outside", "installation="+installation, "project=shop") // a link to our own is none
		// put puts something under a name, of some sort.
		put := func(name, kind string, sort int) {
			path := w.path(name)
			w.check(os.MkdirAll(filepath.Dir(path), 0o700))
			switch kind {
			case "nothing":
			case "file":
				w.check(os.WriteFile(path, []byte([]string{"", "theirs", "rdev installation=other project=shop\nx\n", w.markLine("blog") + "x\n", w.markLine("shop")}[sort%5]), 0o600))
			case "link":
				w.check(os.Symlink([]string{outside, "other.git", "missing", "/", filepath.Join(outside, "config")}[sort%5], path))
			case "directory":
				w.check(os.MkdirAll(filepath.Join(path, "shop.old.X", "objects"), 0o700))
			case "repository":
				w.foreignRepository(name, "main")
			case "of another":
				w.foreignRepository(name, "main")
				w.mark(name, [][]string{
					{"installation=" + installation, "project=blog"},
					{"installation=other", "project=shop"},
					{"installation=" + installation},
					{"project=shop"},
					{"installation=" + installation, "project=shop", "project=blog"},
					{"installation=" + installation, "installation=other", "project=shop"},
				}[sort%6]...)
			case "broken":
				w.foreignRepository(name, "main")
				w.check(os.WriteFile(filepath.Join(path, "config"), []byte("[rdev\n"), 0o600))
			case "linked":
				w.foreignRepository(name, "main")
				config := filepath.Join(path, "config")
				w.check(errors.Join(os.Remove(config), os.Symlink(filepath.Join(outside, "config"), config)))
			}
		}
		// Of shop.git there is everything once; the others are in the way of some.
		own := []string{"nothing", "file", "link", "directory", "repository", "of another", "broken", "linked"}[round%8]
		put("shop.git", own, round/8)
		some := func(one int, name string, kinds ...string) (kind string) {
			if kind = "nothing"; random.IntN(one) == 0 {
				kind = kinds[random.IntN(len(kinds))]
			}
			put(name, kind, random.IntN(60))
			return kind
		}
		notes := some(4, "shop.token", "file", "link", "directory") + some(4, "shop.adopted", "file", "link", "directory")
		work := some(4, w.workDir(), "file", "link")
		some(1, "other.git", "repository", "file", "link")
		some(1, "team/x.git", "repository", "link", "of another")
		some(1, "link", "link")
		before, beyond := there(t, w.dir, w.workDir()), there(t, outside)
		free := own == "nothing" && notes == "nothingnothing" && work == "nothing"
		for what, err := range w.everything("shop", "") {
			switch {
			case free && err != nil && what != "remove":
				t.Errorf("round %d, %s: %v", round, what, err)
			case what == "plan" && own != "nothing" && !strings.Contains(userFailure(err), " is there, and is not this installation's: move it away"):
				t.Errorf("round %d, %s of %s: %v", round, what, own, err)
			case (what == "create" || what == "grant" || what == "commit") && !free && err == nil:
				t.Errorf("round %d: %s where there is %s, %s and %s", round, what, own, notes, work)
			}
		}
		if free {
			// Released, it is somebody else's by now.
			w.check(os.RemoveAll(w.path("shop.git")))
		}
		for _, adopt := range []string{"link", "shop.token", "../outside", outside, "link/x", "none", "shop.git/refs"} {
			if errs := w.everything("shop", adopt); errs["plan"] == nil || errs["create"] == nil || errs["grant"] == nil || errs["commit"] == nil {
				t.Errorf("round %d: %q was adopted", round, adopt)
			}
		}
		for _, path := range []string{"/shop.git/info/refs?service=git-upload-pack", "/other.git/info/refs?service=git-receive-pack", "/x.git/git-upload-pack"} {
			answer, q := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
			q.SetBasicAuth("rdev", "")
			if w.Handler().ServeHTTP(answer, q); answer.Code != 401 && answer.Code != 404 {
				t.Errorf("round %d: %s is served", round, path)
			}
		}
		if after := there(t, w.dir, w.workDir()); after != before {
			t.Errorf("round %d: there was\n%s\nand is\n%s", round, before, after)
		}
		if after := there(t, outside); after != beyond {
			t.Errorf("round %d: outside there was\n%s\nand is\n%s", round, beyond, after)
		}
	}
}

func TestASlugThatIsAPathIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := there(t, filepath.Dir(w.dir))
	for _, slug := range []string{"", ".", "..", "../x", "a/b", ".rdev-x", "/etc", "a.b", "A"} {
		for what, err := range w.everything(slug, "") {
			if err == nil {
				t.Errorf("%s of %q", what, slug)
			}
		}
	}
	if after := there(t, filepath.Dir(w.dir)); after != before {
		t.Errorf("there was\n%s\nand is\n%s", before, after)
	}
}
