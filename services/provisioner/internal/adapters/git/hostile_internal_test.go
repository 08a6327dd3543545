package git

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

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
