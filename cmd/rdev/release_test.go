package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// repository is one as small as scripts/release.sh can work with, and the
// programs that it finds in PATH: none for images, and a kubectl that only notes
// how it is called.
type repository struct {
	t             *testing.T
	dir, bin, log string
}

const fakeKubectl = `#!/bin/sh
echo "$*" >>"$KUBECTL_LOG"
case "$*" in
"config current-context") echo test ;;
"kustomize "*)
	for s in gateway provisioner executor audit notifier; do echo "      - image: localhost/rdev/$s:devel"; done
	echo "  POD_IMAGE: localhost/rdev/claudebox:devel-claude-code"
	;;
*"rollout status deployment/executor"*) exit "${ROLLOUT:-0}" ;;
esac
`

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, dir: filepath.Join(t.TempDir(), "rdev"), bin: t.TempDir()}
	r.log = filepath.Join(r.bin, "kubectl.log")
	script, err := os.ReadFile("../../scripts/release.sh")
	if err != nil {
		t.Fatal(err)
	}
	version, err := os.ReadFile("../../libs/service/version.go")
	if err != nil {
		t.Fatal(err)
	}
	r.write("scripts/release.sh", string(script))
	r.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n### Added\n- A thing.\n\n## 1.2.3 - 2026-01-02\n\n- Before.\n")
	r.write("go.mod", "module github.com/orchard9/rdev\n\ngo 1.26.0\n")
	r.write("libs/service/version.go", string(version))
	program := "package main\n\nimport (\n\t\"fmt\"\n\n\t\"github.com/orchard9/rdev/libs/service\"\n)\n\nfunc main() { fmt.Println(\"rdev\", service.ReadBuild()) }\n"
	r.write("cmd/rdev/main.go", program)
	r.write("services/audit/cmd/audit/main.go", program)
	r.write("deployments/kubernetes/overlays/k3s/kustomization.yaml", "resources: []\n")
	if err := os.WriteFile(filepath.Join(r.bin, "kubectl"), []byte(fakeKubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	r.must("git", "init", "--quiet", "--initial-branch=main")
	r.must("git", "add", ".")
	r.must("git", "commit", "--quiet", "--message", "first")
	r.must("git", "tag", "--annotate", "--message", "rdev 1.2.3", "v1.2.3")
	return r
}

func (r *repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repository) read(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *repository) run(env []string, command string, args ...string) (out string, code int) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), command, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "PATH="+r.bin+":"+os.Getenv("PATH"), "ENGINE=none", "GOWORK=off",
		"TARGETS="+runtime.GOOS+"/"+runtime.GOARCH, "KUBECTL_LOG="+r.log,
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@t", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@t")
	cmd.Env = append(cmd.Env, env...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func (r *repository) must(command string, args ...string) string {
	r.t.Helper()
	out, code := r.run(nil, command, args...)
	if code != 0 {
		r.t.Fatalf("%s %v: %d\n%s", command, args, code, out)
	}
	return strings.TrimSpace(out)
}

// release runs the script and wants its exit code, and in what it says all of want.
func (r *repository) release(env []string, args string, code int, want ...string) string {
	r.t.Helper()
	out, got := r.run(env, "scripts/release.sh", strings.Fields(args)...)
	if got != code {
		r.t.Errorf("release %s: exit code %d, want %d\n%s", args, got, code, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			r.t.Errorf("release %s: %q is not in\n%s", args, w, out)
		}
	}
	return out
}

func TestAReleaseIsCommittedBuiltTaggedPushedAndDeployed(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	remote := t.TempDir()
	r.must("git", "init", "--quiet", "--bare", remote)
	r.must("git", "remote", "add", "origin", remote)
	before := r.must("git", "rev-parse", "HEAD")

	r.release(nil, "--dry-run --push --deploy k3s minor", 0, "v1.3.0, after 1.2.3", "- A thing.", "would run: git tag",
		"would run: git push", "would run: kubectl apply --server-side", "nothing was done")
	if now := r.must("git", "rev-parse", "HEAD") + r.must("git", "status", "--porcelain", "--ignored") + r.must("git", "tag"); now != before+"v1.2.3" {
		t.Errorf("a dry run left %q", now)
	}

	r.release(nil, "--push --deploy k3s minor", 0, "no images", "v1.3.0 is released")
	heading := "## Unreleased\n\n## 1.3.0 - " + time.Now().UTC().Format(time.DateOnly) + "\n\n### Added\n- A thing.\n\n## 1.2.3"
	if text := r.read("CHANGELOG.md"); !strings.Contains(text, heading) {
		t.Errorf("the changelog is\n%s", text)
	}
	if status := r.must("git", "status", "--porcelain"); status != "" {
		t.Errorf("the tree is not clean: %s", status)
	}
	if kind := r.must("git", "cat-file", "-t", "v1.3.0"); kind != "tag" {
		t.Errorf("the tag is a %s", kind)
	}
	if heads := r.must("git", "ls-remote", remote); strings.Count(heads, r.must("git", "rev-parse", "HEAD")) != 2 {
		t.Errorf("the remote has\n%s", heads)
	}
	name := "rdev_v1.3.0_" + runtime.GOOS + "_" + runtime.GOARCH
	r.must("sh", "-c", "cd dist && sha256sum --check --strict SHA256SUMS && rm -r "+name+" && tar xzf "+name+".tar.gz")
	told := r.must("dist/" + name + "/rdev")
	if want := "rdev v1.3.0 (" + r.must("git", "rev-parse", "HEAD")[:12] + ") go"; !strings.HasPrefix(told, want) {
		t.Errorf("the program says %q, want %q", told, want)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "dist", name, "audit")); err != nil {
		t.Error(err)
	}
	layer := r.read("dist/deploy/kustomization.yaml")
	for _, want := range []string{
		"resources: [../../deployments/kubernetes/overlays/k3s]", "{name: localhost/rdev/executor, newTag: v1.3.0}",
		"literals: [POD_IMAGE=localhost/rdev/claudebox:v1.3.0-claude-code]",
	} {
		if !strings.Contains(layer, want) {
			t.Errorf("%q is not in\n%s", want, layer)
		}
	}
	calls, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	order := regexp.MustCompile(`(?s)delete job migrate.*apply --server-side --force-conflicts --kustomize dist/deploy\n.*wait .* job/migrate\n.*rollout status deployment/gateway.*rollout status deployment/notifier`)
	if !order.Match(calls) {
		t.Errorf("kubectl was called with\n%s", calls)
	}
	r.release(nil, "patch", 2, "CHANGELOG.md has nothing under ## Unreleased")
}

func TestAReleaseThatCannotBeMadeChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.release(nil, "--help", 0, "Usage: ")
	r.release(nil, "", 2, "Usage: ")
	for args, want := range map[string]string{
		"1.2.3": "1.2.3 does not come after 1.2.3", "1.2.2": "does not come after", "v1.3.0": "v1.3.0 is neither X.Y.Z nor",
		"1.03.0": "is neither", "--fast patch": "there is no option --fast", "1.3.0 1.4.0": "one version",
		"--push patch": "there is no remote origin", "--deploy moon patch": "there is no overlay moon", "patch --deploy": "wants the name",
	} {
		r.release(nil, args, 2, want)
	}
	r.write("new", "")
	r.release(nil, "patch", 2, "there are changes that are not committed")
	r.must("rm", "new")
	r.must("git", "switch", "--quiet", "--create", "other")
	r.release(nil, "patch", 2, "this is other: a release is made from main")
	r.must("git", "switch", "--quiet", "--detach", "main")
	r.release(nil, "patch", 2, "this is no branch")
}

func TestAReleaseThatFailsSaysHowToGoBack(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	before := r.must("git", "rev-parse", "HEAD")
	r.write("cmd/rdev/main.go", "package main\n\nfunc main() { does not compile }\n")
	r.must("git", "commit", "--quiet", "--all", "--message", "broken")
	broken := r.must("git", "rev-parse", "HEAD")
	out := r.release(nil, "2.0.0", 1, "failed: binaries", "to go back:\n  rm -rf dist\n  git reset --hard "+broken)
	if strings.Contains(out, "release: tag") || r.must("git", "tag") != "v1.2.3" {
		t.Errorf("it went on:\n%s", out)
	}
	r.must("sh", "-c", "rm -rf dist && git reset --quiet --hard "+before)

	out = r.release([]string{"ROLLOUT=1"}, "--deploy k3s 2.0.0", 1, "failed: deploy deployments/kubernetes/overlays/k3s to test",
		"to go back:\n  for d in gateway", "git tag --delete v2.0.0\n", "git reset --hard "+before)
	if strings.Contains(out, "is here only") {
		t.Errorf("it went on:\n%s", out)
	}
}
