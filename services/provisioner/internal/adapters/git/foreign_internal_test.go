package git

import (
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
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
	for round := range 60 {
		w := newWorld(t)
		outside := filepath.Join(filepath.Dir(w.dir), "outside")
		w.foreignRepository("../outside", "main")
		w.mark("../outside", "installation="+installation, "project=shop") // a link to our own is none
		// put puts something under a name, and tells what.
		put := func(name string, kinds ...string) string {
			kind := kinds[random.IntN(len(kinds))]
			path := w.path(name)
			w.check(os.MkdirAll(filepath.Dir(path), 0o700))
			switch kind {
			case "nothing":
			case "file":
				w.check(os.WriteFile(path, []byte([]string{"", "theirs", "rdev installation=other project=shop\nx\n", w.markLine("blog") + "x\n", w.markLine("shop")}[random.IntN(5)]), 0o600))
			case "link":
				w.check(os.Symlink([]string{outside, "other.git", "missing", "/", filepath.Join(outside, "config")}[random.IntN(5)], path))
			case "directory":
				w.check(os.MkdirAll(filepath.Join(path, "shop.old.X", "objects"), 0o700))
			case "repository":
				w.foreignRepository(name, "main")
			case "of another":
				w.foreignRepository(name, "main")
				w.mark(name, [][]string{
					{"installation=" + installation, "project=blog"}, {"installation=other", "project=shop"}, {"installation=" + installation}, {"project=shop"},
					{"installation=" + installation, "project=shop", "project=blog"}, {"installation=" + installation, "installation=other", "project=shop"},
				}[random.IntN(6)]...)
			case "broken":
				w.foreignRepository(name, "main")
				w.check(os.WriteFile(filepath.Join(path, "config"), []byte("[rdev\n"), 0o600))
			case "linked":
				w.foreignRepository(name, "main")
				config := filepath.Join(path, "config")
				w.check(errors.Join(os.Remove(config), os.Symlink(filepath.Join(outside, "config"), config)))
			}
			return kind
		}
		own := put("shop.git", "nothing", "file", "link", "directory", "repository", "of another", "broken", "linked")
		notes := put("shop.token", "nothing", "nothing", "file", "link", "directory") + put("shop.adopted", "nothing", "nothing", "file", "link", "directory")
		work := put(w.workDir(), "nothing", "nothing", "file", "link")
		put("other.git", "repository", "file", "link")
		put("team/x.git", "repository", "link", "of another")
		put("link", "link")
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

// Neither the environment nor the repository tells git what to run.
func TestGitRunsNothingOfARepositoryAndKnowsNothingOfItsUser(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$0\" >> "+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(settings, []byte("[core]\n\tfsmonitor = "+script+"\n[receive]\n\tdenyDeletes = true\n[http]\n\treceivepack = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere", "GIT_CONFIG_GLOBAL": settings, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": filepath.Dir(script),
		"GIT_INDEX_FILE": "/nowhere", "GIT_OBJECT_DIRECTORY": "/nowhere", "GIT_TRACE": ran, "GIT_EXEC_PATH": "",
	} {
		t.Setenv(name, value)
	}
	w := newWorld(t)
	r := w.create("shop", "")
	for _, hook := range []string{"pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive", "push-to-checkout", "pre-auto-gc"} {
		path := w.path("shop.git/hooks/" + hook)
		w.check(errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(script, path)))
	}
	access := w.granted(r)
	if _, err := w.commitFiles(r, "", "op", "file"); err != nil {
		t.Fatal(err)
	}
	w.must("clone", "-q", access, "one")
	w.must("-C", "one", "push", "-q", "origin", "main:more")
	w.must("-C", "one", "push", "-q", "origin", ":more")
	if text, err := os.ReadFile(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it ran\n%s", text)
	}
}

// A tree that would write into .git of who clones it is not taken, an old flaw is.
func TestHostileHistoriesAreRefusedAndOldOnesTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create("shop", "")
	access := w.granted(r)
	push := func(entry, commit string) (string, error) {
		w.must("init", "-q", "--bare", "raw")
		defer os.RemoveAll(filepath.Join(w.home, "raw"))
		store := func(kind, text string) string {
			cmd := w.command("-C", "raw", "hash-object", "-w", "-t", kind, "--literally", "--stdin")
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.Output()
			w.check(err)
			return strings.TrimSpace(string(out))
		}
		blob := store("blob", "x")
		raw := make([]byte, 20)
		for i := range raw {
			_, err := fmt.Sscanf(blob[2*i:2*i+2], "%02x", &raw[i])
			w.check(err)
		}
		tree := store("tree", entry+"\x00"+string(raw))
		return w.try("-C", "raw", "push", "--force", access, store("commit", strings.ReplaceAll(commit, "TREE", tree))+":refs/heads/main")
	}
	const good = "tree TREE\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx\n"
	for _, c := range []struct {
		entry, commit string
		taken         bool
	}{
		{"100644 a", good, true},
		{"100644 .git", good, false},
		{"100644 ..", good, false},
		{"100644 git~1", good, false},
		{"0100644 a", good, true},
		{"100644 a", strings.ReplaceAll(good, "a <a@b> 1 +0000", "a<a@b> 1 +051800"), true},
		{"100644 a", "tree TREE\nnobody\n\nx\n", false},
	} {
		before := w.head(r)
		out, err := push(c.entry, c.commit)
		if (err == nil) != c.taken || c.taken == (w.head(r) == before) {
			t.Errorf("%q %q: %v\n%s", c.entry, c.commit, err, out)
		}
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	good := Config{Dir: filepath.Join(dir, "repositories"), URL: "http://127.0.0.1:8080/git", Installation: installation, Logger: newWorld(t).logger}
	for name, change := range map[string]func(*Config){
		"no directory": func(c *Config) { c.Dir = "" }, "a file": func(c *Config) { c.Dir = file }, "no URL": func(c *Config) { c.URL = "" }, "another scheme": func(c *Config) { c.URL = "ssh://h" },
		"a URL with a user": func(c *Config) { c.URL = "http://u:canary@h/git" }, "no installation": func(c *Config) { c.Installation = "" }, "one that is a path": func(c *Config) { c.Installation = "../x" },
		"a negative push": func(c *Config) { c.MaxPush = -1 }, "no logger": func(c *Config) { c.Logger = nil },
	} {
		config := good
		change(&config)
		if _, err := Open(config); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Setenv("PATH", dir)
	if _, err := Open(good); err == nil || !strings.Contains(err.Error(), "git is needed, and is not there; install the package git") {
		t.Errorf("without git: %v", err)
	}
	for script, want := range map[string]string{"exit 3": "does not run", "echo " + dir: "git has no http-backend"} {
		if err := os.WriteFile(filepath.Join(dir, "git"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(good); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q: %v", script, err)
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

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"/shop.git/info/refs?service=git-upload-pack", "/shop.git/git-receive-pack", "/../x.git/info/refs", "/%2e%2e.git/git-upload-pack", "//a.git/info/refs?service=git-receive-pack"} {
		f.Add("GET", seed)
		f.Add("POST", seed)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		q := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		address, err := q.URL.Parse(target)
		if err != nil {
			return
		}
		q.URL, q.Method = address, method
		r, ok := requestOf(q)
		if !ok {
			return
		}
		want := map[string]bool{"GET info/refs": true, "POST " + r.service: true}
		if !domain.ValidSlug(r.slug) || !want[method+" "+r.rest] || r.service != fetchService && r.service != pushService {
			t.Errorf("%s %q is %+v", method, target, r)
		}
	})
}

func FuzzValidName(f *testing.F) {
	for _, seed := range []string{"a.git", "team/a.git", "../a", "/a", ".rdev-x/a", "a/.b", "a\\b", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if validName(name) && (!filepath.IsLocal(name) || name == "." || strings.HasPrefix(name, ".") || strings.Contains(name, "/.")) {
			t.Errorf("%q is taken", name)
		}
	})
}

var _ app.Repositories = (*Forge)(nil)
