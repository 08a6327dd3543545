package up_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/testkit"
)

// The README's lines are run as a newcomer types them: in a fresh clone, with
// `make run` in one terminal and every sh block, in order, in another.
func TestTheREADMEsOwnLinesWork(t *testing.T) {
	blocks := testkit.Blocks(t, filepath.Join(root, "README.md"), "sh")
	if len(blocks) < 5 {
		t.Fatalf("%d sh blocks in the README, want at least 5", len(blocks))
	}
	clone := cloneOfRoot(t)
	home := t.TempDir()
	env := append(os.Environ(),
		"HOME="+home, "RDEV_ADDR=127.0.0.1:0", "RDEV_NATS_ADDR=127.0.0.1:0",
		// What is shared between clones: the caches.
		"GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOFLAGS="+goEnv(t, "GOFLAGS"),
		"XDG_CACHE_HOME="+userCache(t),
	)
	stop := makeRun(t, clone, home, env)

	script := "set -euo pipefail\n" + strings.Join(blocks, "")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Env = clone, env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("the README's lines: %v\n%s", err, &out)
	}
	t.Logf("the README's lines say:\n%s", &out)
	for _, want := range []string{
		"created shop", "created tea", `{"status":"ok"}`, "deleted tea", "HEAD is ", "line 3 of ", "this one fails", "exit code 3", "cancelled", "cancel_requested",
		`"exit_code":0`, "event: end", "RDEV_EVENTS", "the token is [redacted:NPM_TOKEN]", "revoked key ci", "deleted shop",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("they do not say %q", want)
		}
	}
	stop()
}

// makeRun runs `make run` until stop, which is Ctrl-C.
func makeRun(t *testing.T, clone, home string, env []string) (stop func()) {
	t.Helper()
	cmd := exec.Command("make", "run")
	cmd.Dir, cmd.Env = clone, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
		<-ended
		if left := processesOf(t, home); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
	}
	t.Cleanup(stop)
	ready := filepath.Join(home, ".rdev", "ready.json")
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	patience := time.After(firstBuild)
	for {
		select {
		case err := <-ended:
			over = true
			t.Fatalf("make run: %v\n%s", err, &out)
		case <-patience:
			t.Fatalf("make run is not ready after %s\n%s", firstBuild, &out)
		case <-look.C:
			if _, err := os.Stat(ready); err == nil {
				return stop
			}
		}
	}
}

// firstBuild is how long `make run` may take on a machine that never built it.
const firstBuild = 15 * time.Minute

// cloneOfRoot is a clone with the README as it is in the tree.
func cloneOfRoot(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "rdev")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", root, dir).CombinedOutput(); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	return dir
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func userCache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
