package up_test

import (
	"errors"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testkit"
)

// The commands of docs/nats.md are run against a running rdev.
func TestTheCommandsOfTheNATSPageWork(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	i.must("run", "--", "true")
	build := exec.CommandContext(t.Context(), "make", "-s", "nats")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make nats: %v\n%s", err, out)
	}
	out := i.page("nats.md")
	for _, want := range []string{"RDEV_EVENTS", "rdev.events.project.created.shop", "executor", `"operations":[{`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	i.stop()
}

// And so are those of docs/work.md.
func TestTheCommandsOfTheWorkPageWork(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	out := i.page("work.md", "REPO="+repository(t))
	for _, want := range []string{"the first commit", "rdev: running on local-", "exit code 1", "tested", `"retry_of"`, `"state":"draining"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	i.stop()
}

// And so are those of docs/builds.md.
func TestTheCommandsOfTheBuildsPageWork(t *testing.T) {
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	out := i.page("builds.md", "REPO="+repository(t))
	for _, want := range []string{"completed", "from an earlier build"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	i.stop()
}

// And so are those of docs/templates.md.
func TestTheCommandsOfTheTemplatesPageWork(t *testing.T) {
	i := start(t, t.TempDir())
	out := i.page("templates.md")
	for _, want := range []string{"astro-landing", "new      internal/server/server.go", "changed  go.work", "== workers/mail", "apps/web/src/App.tsx"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	i.stop()
}

// page runs the commands of a page of docs that can be typed as they are, one after
// the other, and returns what they said.
func (i *instance) page(name string, env ...string) string {
	i.t.Helper()
	script := "set -euo pipefail\n" + strings.Join(testkit.Blocks(i.t, filepath.Join(root, "docs", name), "sh"), "")
	cmd := exec.CommandContext(i.t.Context(), "bash", "-c", script)
	cmd.Env = append(os.Environ(), "RDEV_HOME="+i.home, "PATH="+binaries+":"+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		i.t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// repository serves one with a commit, and returns its URL.
func repository(t *testing.T) string {
	t.Helper()
	return repositories(t, map[string]map[string]string{"shop": nil}) + "/shop.git"
}

// repositories serves Git repositories over HTTP, each of which has a commit with files,
// by their names: <URL>/<name>.git.
func repositories(t *testing.T, trees map[string]map[string]string) (url string) {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for name, files := range trees {
		git("init", "-q", "-b", "main", name)
		for path, text := range files {
			path = filepath.Join(dir, name, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		git("-C", name, "add", ".")
		git("-C", name, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "the first commit")
		git("clone", "-q", "--bare", name, name+".git")
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL
}
