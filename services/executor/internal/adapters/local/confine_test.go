package local_test

import (
	"context"
	"errors"
	"net"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/adapters/local"
	"github.com/orchard9/rdev/services/executor/internal/adapters/workspace"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// runScript runs a script to its end and returns what it printed.
func runScript(t *testing.T, runtime *local.Runtime, project contract.Project, id, script string) (string, domain.Exit) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	ref := domain.RunRef{Project: project.Slug, Workspace: project.Workspace, ID: id, Token: 1}
	if err := runtime.Start(ctx, domain.RunSpec{RunRef: ref, Argv: []string{"sh", "-c", script}}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	exit, err := runtime.Attach(ctx, ref, 0, func(frame domain.Frame) error {
		out.Write(frame.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), exit
}

func TestAConfinedProgramIsKeptToItsOwn(t *testing.T) {
	runner := buildRunner(t)
	t.Run("InNamespaces", func(t *testing.T) {
		testConfined(t, newRuntime(t, local.Config{Runner: runner}))
	})
	t.Run("WithoutNamespaces", func(t *testing.T) {
		testConfined(t, newRuntime(t, local.Config{Runner: runner}).WithoutNamespaces())
	})
}

func testConfined(t *testing.T, runtime *local.Runtime) {
	t.Helper()
	t.Parallel()
	project := newProject(t)
	t.Log(runtime.Level())
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(filepath.Dir(project.Workspace), ".rdev", project.Slug, "state")
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	self := strconv.Itoa(os.Getpid())
	for name, script := range map[string]string{
		"read":     "cat " + outside,
		"write":    "echo x > " + outside,
		"remove":   "rm -f " + outside,
		"etc":      "touch /etc/rdev-test",
		"usr":      "touch /usr/rdev-test",
		"shadow":   "cat /etc/shadow",
		"state":    "ls " + state + " || cat " + state + "/token",
		"environ":  "cat /proc/" + self + "/environ",
		"memory":   "head -c 1 /proc/" + self + "/mem",
		"root":     "cat /proc/" + self + "/root" + outside,
		"signal":   "kill -0 " + self,
		"disk":     "head -c 1 /dev/vda || head -c 1 /dev/sda || head -c 1 /dev/mem",
		"mount":    "mount -t tmpfs none .",
		"device":   "mknod x c 1 5 && head -c 1 x",
		"link":     "ln " + outside + " here && cat here",
		"newroot":  "unshare -Ur cat " + outside,
		"symlink":  "ln -s " + outside + " there; cat there",
		"capeff":   "grep ^Cap /proc/self/status | grep -v 0000000000000000",
		"newprivs": "grep NoNewPrivs: /proc/self/status | grep 0",
	} {
		if out, exit := runScript(t, runtime, project, name, script); exit.Code == 0 || strings.Contains(out, "secret") {
			t.Errorf("%s was not denied: exit %+v, output %q", name, exit, out)
		}
	}
	for name, script := range map[string]string{
		"own":     `echo a > a && mkdir d && mv a d/a && rm -r d && echo b > "$HOME/b" && echo c > "$TMPDIR/c"`,
		"devices": `head -c 8 /dev/urandom > /dev/null && head -c 8 /dev/zero > r && echo out > /dev/stdout && echo err > /dev/stderr`,
		"names":   `id -un && getent passwd root && getent hosts localhost`,
		"threads": `sh -c 'sleep 0.01' & wait`,
	} {
		if out, exit := runScript(t, runtime, project, "ok-"+name, script); exit.Code != 0 || !exit.Known {
			t.Errorf("%s was denied: exit %+v, output %q", name, exit, out)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "secret" {
		t.Errorf("the file outside is %q, %v", text, err)
	}
}

func TestToolsWorkConfined(t *testing.T) {
	goBinary, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	goBinary, err = filepath.EvalSymlinks(goBinary)
	if err != nil {
		t.Fatal(err)
	}
	goRoot := filepath.Dir(filepath.Dir(goBinary))
	runtime := newRuntime(t, local.Config{
		Runner: buildRunner(t), Path: filepath.Join(goRoot, "bin") + ":" + workspace.DefaultPath, Readable: []string{goRoot},
	})
	project := newProject(t)
	url := serveGit(t)
	for i, script := range []string{
		`git config --global user.name a && git config --global user.email a@b.c && git clone ` + url + ` http && cd http &&
			echo x > x && git add x && git commit -m x && git push origin HEAD && git log --oneline && git gc && cd .. &&
			git clone --bare ` + url + ` bare && git clone "file://$PWD/bare" file && test -f file/x`,
		`go version && mkdir m && cd m && go mod init example.com/m`,
		`node --version && node -e 'require("fs").writeFileSync("n", "x"); console.log(require("os").userInfo().username)'`,
		`python3 -c 'import tempfile, subprocess; tempfile.NamedTemporaryFile(); print(subprocess.check_output(["true"]))'`,
	} {
		if out, exit := runScript(t, runtime, project, "tool-"+strconv.Itoa(i), script); exit.Code != 0 || !exit.Known {
			t.Errorf("%s\nexit %+v, output:\n%s", script, exit, out)
		}
	}
}

// serveGit serves an empty repository.
func serveGit(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "r.git")
	for _, args := range [][]string{{"init", "-q", "--bare", path}, {"-C", path, "config", "http.receivepack", "true"}} {
		if out, err := exec.CommandContext(t.Context(), "git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	core, err := exec.CommandContext(t.Context(), "git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	t.Cleanup(server.Close)
	return server.URL + "/r.git"
}

func TestAMachineWithoutConfinementRefuses(t *testing.T) {
	runner := buildRunner(t)
	if _, err := local.New(t.Context(), local.Config{Runner: runner, Unconfined: true}); err == nil {
		t.Error("unconfined runs were not allowed, but New went well")
	}
	project := newProject(t)
	spec := domain.RunSpec{
		RunRef: domain.RunRef{Project: project.Slug, Workspace: project.Workspace, ID: "a", Token: 1},
		Argv:   []string{"true"},
	}
	err := newRuntime(t, local.Config{Runner: runner}).WithoutLandlock().Start(t.Context(), spec)
	if _, refused := errors.AsType[*domain.RefusedError](err); !refused {
		t.Errorf("Start = %v, want a RefusedError", err)
	}
	lax := newRuntime(t, local.Config{Runner: runner, AllowUnconfined: true}).WithoutLandlock()
	if _, exit := runScript(t, lax, project, "b", "exit 3"); exit.Code != 3 || lax.Level().Files != "not confined" {
		t.Errorf("exit %+v at %v", exit, lax.Level())
	}
}
