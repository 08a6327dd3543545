package git

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

const installation = "0b6f6c34-5f0e-4b6a-9d7e-6d2f1c0a9b11"

// world is a forge that is served, and a user with the real git.
type world struct {
	*Forge

	t    *testing.T
	home string // of the user
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldAt(t, filepath.Join(t.TempDir(), "repositories"), 0)
}

func newWorldAt(t *testing.T, dir string, maxPush int64) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir()}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	forge, err := Open(Config{Dir: dir, URL: server.URL + "/git/", Installation: installation, MaxPush: maxPush, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forge.Close() })
	w.Forge = forge
	mux.Handle("/git/", http.StripPrefix("/git", forge.Handler()))
	return w
}

func (w *world) create(slug, adopt string) app.Repository {
	w.t.Helper()
	r, err := w.Create(w.t.Context(), slug, adopt)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// granted is the URL of a repository with a new token in it.
func (w *world) granted(r app.Repository) string {
	w.t.Helper()
	access, err := w.Grant(w.t.Context(), r.ID, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return with(r, access.Token)
}

func with(r app.Repository, token string) string {
	return strings.Replace(r.CloneURL, "://", "://rdev:"+token+"@", 1)
}

// command is git as the user runs it: without the proxies and the settings of the machine.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), "git", append([]string{"-c", "http.proxy=", "-c", "init.defaultBranch=main", "-c", "core.compression=0"}, args...)...)
	cmd.Dir = w.home
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	return cmd
}

func (w *world) try(args ...string) (string, error) {
	out, err := w.command(args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (w *world) must(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

// refused runs git, which has to fail and say so.
func (w *world) refused(why string, args ...string) {
	w.t.Helper()
	if out, err := w.try(args...); err == nil || !strings.Contains(out, why) {
		w.t.Errorf("git %v: %v, want %q:\n%s", args, err, why, out)
	}
}

// write makes a file of the user's, and commits it.
func (w *world) write(clone, name string, data []byte) {
	w.t.Helper()
	path := filepath.Join(w.home, clone, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
		w.t.Fatal(err)
	}
	w.must("-C", clone, "add", "--all")
	w.must("-C", clone, "commit", "-q", "-m", "write "+name)
}

// foreignRepository makes a bare repository of somebody else's, with one commit.
func (w *world) foreignRepository(name, branch string) {
	w.t.Helper()
	w.must("init", "-q", "--bare", "--initial-branch="+branch, w.path(name))
	tree := w.must("--git-dir="+w.path(name), "mktree", "--missing")
	commit := w.must("--git-dir="+w.path(name), "commit-tree", "-m", "theirs", tree)
	w.must("--git-dir="+w.path(name), "update-ref", "refs/heads/"+branch, commit)
}

// commitFiles has rdev commit files, each with its name as its text.
func (w *world) commitFiles(r app.Repository, parent, operation string, names ...string) (string, error) {
	files := map[string]app.CommitFile{}
	for _, name := range names {
		files[name] = app.CommitFile{Data: []byte(name)}
	}
	return w.Commit(w.t.Context(), r, app.Commit{Operation: operation, Message: "Write\n", Parent: parent, Files: files})
}

func (w *world) head(r app.Repository) string {
	w.t.Helper()
	head, err := w.Head(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}

// there is all that is below a directory, but for what begins with one of except.
func there(t *testing.T, dir string, except ...string) string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		for _, prefix := range except {
			if strings.HasPrefix(name, prefix) {
				return nil
			}
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all[name] = info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			all[name] += " " + target
			return err
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			all[name] += fmt.Sprintf(" %x", sha256.Sum256(text))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, name+" "+all[name])
	}
	return strings.Join(lines, "\n")
}

func userFailure(err error) string {
	if known, ok := errors.AsType[*app.StepError](err); ok && known.Failure.Class == contract.ClassUser {
		return known.Failure.Message
	}
	return ""
}
