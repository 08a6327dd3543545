//go:build cluster

package image_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/cache"
	"github.com/orchard9/rdev/libs/testcluster/image"
	"github.com/orchard9/rdev/libs/testcluster/internal/components"
)

func TestWhatARunNeedsWorksInAClaudeboxForItsUserOnAReadOnlyRoot(t *testing.T) {
	made, err := image.Claudebox(t.Context(), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d MB, %s", made.Name, size(t, made.Archive)>>20, made.ID)
	root := unpack(t, made.Archive)
	for name, script := range map[string]string{
		"the user":         `test "$(id -un):$(id -u):$(id -g)" = rdev:1000:1000 && test "$(umask)" = 0022`,
		"bash":             `test -n "$BASH_VERSION" && printf 'b\na\n' | sort | sed s/a/c/ | grep -q c`,
		"sh and awk":       `test "$(sh -c 'echo $((6*7))' | awk '{print $1 + 1}')" = 43`,
		"git":              `cd /tmp && git init -q r && cd r && echo x > x && git add . && git -c user.name=a -c user.email=a@b commit -qm x && git clone -q /tmp/r /tmp/s && test -f /tmp/s/x`,
		"git over https":   `git ls-remote https://127.0.0.1:9/ 2>&1 | grep -qi connect`,
		"ssh":              `ssh -V`,
		"authorities":      `test "$(grep -c BEGIN /etc/ssl/certs/ca-certificates.crt)" -gt 100`,
		"the runner":       `rdev-runner probe | grep -q '"probe"'`,
		"the entrypoint":   `rdev-runner idle & sleep 0.3; kill $! && wait $!`,
		"tools of a run":   `tar --version && gzip --version && find --version && diff --version && ps --version && setsid --version`,
		"locale":           `test "$(LANG=C.UTF-8 bash -c 'x=ä; echo ${#x}')" = 1`,
		"the workspace":    `touch /workspace/x /tmp/x`,
		"the rest":         `! touch /x /etc/x /usr/x /opt/x /home/x /var/x 2>/dev/null`,
		"nothing is setid": `test -z "$(find / -xdev -perm /6000 2>/dev/null)"`,
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := inside(t, root, "/bin/bash", "-c", script); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestAnAgentInAClaudeboxIsThePinnedOne(t *testing.T) {
	made, err := image.Claudebox(t.Context(), image.Options{Agent: "codex"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := inside(t, unpack(t, made.Archive), "/bin/bash", "-c", "HOME=/tmp codex --version && rg --version")
	if err != nil || !strings.Contains(out, "0.169.0") {
		t.Errorf("codex says %q, %v", out, err)
	}
}

func TestAServiceStartsInItsImage(t *testing.T) {
	for _, name := range []string{"gateway", "provisioner", "executor", "audit", "notifier"} {
		made, err := image.Service(t.Context(), image.Options{}, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d MB", made.Name, size(t, made.Archive)>>20)
		out, err := inside(t, unpack(t, made.Archive), "/service")
		// It lacks its configuration, or NATS, and says so.
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() > 2 || !strings.Contains(out, `"service":"`+name+`"`) {
			t.Errorf("%s ends with %v\n%s", name, err, out)
		}
	}
}

func TestContainerdTakesTheArchive(t *testing.T) {
	made, err := image.Claudebox(t.Context(), image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctr := containerd(t)
	if out, err := ctr("images", "import", made.Archive); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	if out, err := ctr("images", "list", "--quiet"); err != nil || strings.TrimSpace(out) != made.Name {
		t.Errorf("containerd has %q, %v; want %q", out, err, made.Name)
	}
	if out, err := ctr("images", "check"); err != nil || !strings.Contains(out, "complete (4/4)") {
		t.Errorf("containerd misses something of the image: %v\n%s", err, out)
	}
}

// containerd starts one for the test, and returns how to run ctr with it.
func containerd(t *testing.T) (ctr func(args ...string) (string, error)) {
	t.Helper()
	parts := ofCluster(t)
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket)
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	server := exec.Command(parts.Containerd, "--config", file)
	server.Env = parts.Env
	server.Stderr = &log
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	ctr = func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), parts.Ctr, append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...).CombinedOutput()
		return string(out), err
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := ctr("version"); err == nil {
			return ctr
		}
		if time.Now().After(deadline) {
			t.Fatal("containerd does not answer")
		}
	}
}

// ofCluster are the parts that a cluster is made of, containerd among them.
func ofCluster(t *testing.T) *components.Components {
	t.Helper()
	root, err := cache.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := cache.Dir()
	if err != nil {
		t.Fatal(err)
	}
	parts, err := components.Ensure(t.Context(), root, filepath.Join(dir, "kubernetes"), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// inside runs a program with the root as its only file system, which only
// /workspace and /tmp are writable of, as user 1000 in its own namespaces.
func inside(t *testing.T, root string, argv ...string) (string, error) {
	t.Helper()
	const script = `set -e
root=$1; shift
mkdir -p "$root/dev" "$root/proc"
mount --bind "$root" "$root"
for dir in workspace tmp; do ! test -d "$root/$dir" || mount --bind "$root/$dir" "$root/$dir"; done
for dir in dev proc; do mount --rbind "/$dir" "$root/$dir"; done
mount -o remount,bind,ro "$root"
exec chroot --userspec=1000:1000 --groups= "$root" "$@"`
	args := append([]string{"--mount", "--net", "--propagation", "private", "sh", "-c", script, "sh", root}, argv...)
	command := exec.CommandContext(t.Context(), "unshare", args...)
	command.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/workspace"}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.CombinedOutput()
	return string(out), err
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// unpack puts the layers of an archive on top of each other, as tar does it.
func unpack(t *testing.T, archive string) string {
	t.Helper()
	dir, root := t.TempDir(), t.TempDir()
	run(t, "tar", "-xf", archive, "-C", dir)
	var manifests []struct{ Layers []string }
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &manifests)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range manifests[0].Layers {
		run(t, "tar", "-xpf", filepath.Join(dir, layer), "-C", root, "--numeric-owner")
	}
	run(t, "chmod", "755", root)
	return root
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}
