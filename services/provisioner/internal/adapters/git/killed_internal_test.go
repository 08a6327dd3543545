package git

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// beAVictim has this test program do one thing instead of running the tests: one that is
// killed while it does.
const beAVictim = "be-a-victim"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == beAVictim {
		if err := victim(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim does what, and is killed at a boundary: 0 for never. It says how many there were.
func victim(dir, what, at string) error {
	killAt, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	f, err := Open(Config{Dir: dir, URL: "http://127.0.0.1/git", Installation: installation, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	passed := 0
	f.step = func() {
		if passed++; passed == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // it comes
		}
	}
	if err := deeds[what](context.Background(), f); err != nil {
		return err
	}
	fmt.Println(passed)
	return nil
}

const theirs = "theirs.git"

// deeds are what is done to the project shop.
var deeds = map[string]func(context.Context, *Forge) error{
	"create":         func(ctx context.Context, f *Forge) error { _, err := f.Create(ctx, "shop", ""); return err },
	"adopt":          func(ctx context.Context, f *Forge) error { _, err := f.Create(ctx, "shop", theirs); return err },
	"grant":          func(ctx context.Context, f *Forge) error { return grant(ctx, f, "shop.git") },
	"commit":         func(ctx context.Context, f *Forge) error { return commit(ctx, f, "shop.git") },
	"remove":         func(ctx context.Context, f *Forge) error { return f.Remove(ctx, "shop", "") },
	"release":        func(ctx context.Context, f *Forge) error { return f.Release(ctx, "shop", "") },
	"grant adopted":  func(ctx context.Context, f *Forge) error { return grant(ctx, f, theirs) },
	"commit adopted": func(ctx context.Context, f *Forge) error { return commit(ctx, f, theirs) },
	"remove adopted": func(ctx context.Context, f *Forge) error { return f.Remove(ctx, "shop", theirs) },
}

func grant(ctx context.Context, f *Forge, name string) error {
	_, err := f.Grant(ctx, "shop", f.repository("shop", name, branch))
	return err
}

func commit(ctx context.Context, f *Forge, name string) error {
	r := f.repository("shop", name, branch)
	parent := ""
	if name == theirs {
		first, err := f.git(ctx, call{repository: theirs}, "rev-list", "--max-parents=0", "main")
		if err != nil {
			return err
		}
		parent = strings.TrimSpace(first)
	}
	_, err := f.Commit(ctx, r, app.Commit{Operation: "op", Message: "Start", Parent: parent, Files: map[string]app.CommitFile{"a": {Data: []byte("a")}, "b/c": {}}})
	return err
}

// killed does something in a process that is killed at a boundary, and tells how many
// there are where it is not.
func killed(t *testing.T, dir, what string, at int) (boundaries int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], beAVictim, dir, what, strconv.Itoa(at))
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if at > 0 {
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("%s, killed at %d: %v", what, at, cmd.ProcessState)
		}
		return 0
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if boundaries, err = strconv.Atoi(strings.TrimSpace(string(out))); err != nil {
		t.Fatal(err)
	}
	return boundaries
}

// Whoever is killed where: another attempt completes it, or removes all.
func TestWhatAKilledAttemptLeavesIsCompletedAndRemoved(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		before     []string
		what       string
		boundaries int // at the least
	}{
		{nil, "create", 8},
		{[]string{"create"}, "grant", 5},
		{[]string{"create", "grant"}, "grant", 5},
		{[]string{"create", "grant"}, "commit", 20},
		{[]string{"create", "grant", "commit"}, "remove", 6},
		{[]string{"create", "grant", "commit"}, "release", 9},
		{nil, "adopt", 10},
		{[]string{"adopt"}, "grant adopted", 5},
		{[]string{"create", "grant"}, "adopt", 12},
		{[]string{"adopt", "grant adopted"}, "create", 12},
		{[]string{"adopt", "grant adopted"}, "commit adopted", 20},
		{[]string{"adopt", "grant adopted"}, "remove adopted", 3},
	} {
		t.Run(strings.ReplaceAll(strings.Join(append(c.before, c.what), ","), " ", "-"), func(t *testing.T) {
			t.Parallel()
			begin := newWorld(t)
			begin.foreignRepository(theirs, "main")
			for _, what := range c.before {
				begin.check(deeds[what](t.Context(), begin.Forge))
			}
			all := 1
			for at := 0; at <= all; at++ {
				w := newWorld(t)
				w.check(os.CopyFS(w.dir, os.DirFS(begin.dir)))
				if boundaries := killed(t, w.dir, c.what, at); at == 0 {
					if all = boundaries; all < c.boundaries {
						t.Errorf("there are %d boundaries: this test kills too little", all)
					}
				}
				w.afterDeath(c.what, at)
			}
		})
	}
}

// afterDeath sees that there is nothing half, and that all can be completed, and removed.
func (w *world) afterDeath(what string, at int) {
	w.t.Helper()
	t, adopted := w.t, strings.Contains(what, "adopt")
	name, adopt := "shop.git", ""
	if adopted {
		name, adopt = theirs, theirs
	}
	if _, err := os.Lstat(w.path("shop.git")); err == nil && what != "release" {
		if _, err := w.Plan(t.Context(), "shop", ""); err != nil {
			t.Fatalf("killed at %d: it does not know its own: %v", at, err)
		}
	}
	// Once more it is done.
	if err := deeds[what](t.Context(), w.Forge); err != nil {
		t.Fatalf("killed at %d: once more: %v\n%s", at, err, there(t, w.dir))
	}
	if left, err := filepath.Glob(w.path(w.workDir() + "/*")); err != nil || len(left) > 0 {
		t.Errorf("killed at %d: once more it has left %v, %v", at, left, err)
	}
	if what == "release" {
		if count := w.must("--git-dir="+w.path("shop.git"), "rev-list", "--count", "main"); count != "1" {
			t.Errorf("killed at %d: released it has %s commits", at, count)
		}
		w.check(os.RemoveAll(w.path("shop.git")))
	}
	if at%4 == 1 && !strings.HasPrefix(what, "remove") && what != "release" {
		r := w.create("shop", adopt)
		w.must("clone", "-q", w.granted(r), "one")
		if strings.HasPrefix(what, "commit") {
			want := map[bool]string{true: "2", false: "1"}[adopted]
			if count := w.must("-C", "one", "rev-list", "--count", "HEAD"); count != want {
				t.Errorf("killed at %d: there are %s commits", at, count)
			}
		}
		w.write("one", "pushed", nil)
		w.must("-C", "one", "push", "-q", "origin", "HEAD:main")
		if head := w.head(r); head != w.must("-C", "one", "rev-parse", "HEAD") {
			t.Errorf("killed at %d: pushed, %s is at %s", at, name, head)
		}
	}
	w.check(w.Remove(t.Context(), "shop", adopt))
	w.check(w.Remove(t.Context(), "shop", ""))
	if left := there(t, w.dir, theirs); strings.Contains(left, "shop") {
		t.Errorf("killed at %d: left is\n%s", at, left)
	}
	if _, err := os.Lstat(filepath.Join(w.path(theirs), "HEAD")); err != nil {
		t.Errorf("killed at %d: what is not ours is gone: %v", at, err)
	}
}
