package image

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repository is the options that images of this tree are made with.
func repository(t *testing.T) Options {
	t.Helper()
	o, err := Options{Cache: t.TempDir()}.complete()
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheDockerfilesSayHowContainersStart(t *testing.T) {
	o := repository(t)
	service, err := o.process("Dockerfile.service", map[string]string{"SERVICE": "audit"})
	if err != nil {
		t.Fatal(err)
	}
	if service.User != "65532:65532" || !slices.Equal(service.Entrypoint, []string{"/service"}) || service.Cmd != nil {
		t.Errorf("a service starts as %+v", service)
	}
	if service.Labels["org.opencontainers.image.title"] != "rdev audit" || service.Labels["org.opencontainers.image.version"] != "dev" {
		t.Errorf("a service has the labels %v", service.Labels)
	}
	box, err := o.process("Dockerfile.claudebox", map[string]string{"AGENT": "codex"})
	if err != nil {
		t.Fatal(err)
	}
	if box.User != "1000:1000" || box.WorkingDir != "/workspace" || !slices.Equal(box.Entrypoint, []string{"/usr/local/bin/rdev-runner", "idle"}) {
		t.Errorf("a claudebox starts as %+v", box)
	}
	if !slices.Equal(box.Env, []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PAGER=cat"}) {
		t.Errorf("a claudebox has the environment %q", box.Env)
	}
}

func TestOnlyTheLastStageOfADockerfileCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "Dockerfile")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("ARG A=1\nFROM x AS build\nUSER root\nENV B=2\nFROM scratch\nARG A\nARG C=3\n# USER nobody\nENV A=${A} C=\"$C and more\" \\\n  D=\nCMD [\"a\", \"b c\"]\n")
	p, err := readProcess(path, map[string]string{"C": "4"})
	if err != nil {
		t.Fatal(err)
	}
	if p.User != "" || !slices.Equal(p.Env, []string{"A=1", "C=4 and more", "D="}) || !slices.Equal(p.Cmd, []string{"a", "b c"}) {
		t.Errorf("read %+v", p)
	}
	write("FROM scratch\nCMD a shell\n")
	if _, err := readProcess(path, nil); err == nil {
		t.Error("the shell form is not understood, and not refused")
	}
}

func TestThePinnedAgentsAreThoseThatAreInstalled(t *testing.T) {
	o := repository(t)
	script, err := os.ReadFile(filepath.Join(o.Root, "scripts/install-agents.sh"))
	if err != nil {
		t.Fatal(err)
	}
	agents := regexp.MustCompile(`(?m)^\t\tinstall (\S+) (\S+) `).FindAllStringSubmatch(string(script), -1)
	if len(agents) != 4 {
		t.Fatalf("scripts/install-agents.sh installs %d agents", len(agents))
	}
	for _, agent := range agents {
		p, err := readPin(filepath.Join(o.Root, dockerDir, "agents.lock"), agent[1], "amd64")
		if err != nil {
			t.Error(err)
			continue
		}
		if version, _, _ := strings.Cut(p.version, "-"); version != agent[2] {
			t.Errorf("%s is installed at %s and pinned at %s", agent[1], agent[2], p.version)
		}
		if !strings.HasPrefix(p.integrity, "sha512-") || len(p.commands) == 0 {
			t.Errorf("the pin of %s is %+v", agent[1], p)
		}
	}
}

func TestAnAgentThatIsNotThePinnedOneIsRefused(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	if err := os.WriteFile(lock, []byte(`{"packages":{"node_modules/@a/b":{"version":"1.0.0","integrity":"sha512-x"}}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	right := pin{name: "@a/b", version: "1.0.0", integrity: "sha512-x"}
	if err := right.check(lock); err != nil {
		t.Error(err)
	}
	for _, wrong := range []pin{
		{name: "@a/b", version: "1.0.1", integrity: "sha512-x"},
		{name: "@a/b", version: "1.0.0", integrity: "sha512-y"},
		{name: "b", version: "1.0.0", integrity: "sha512-x"},
	} {
		if err := wrong.check(lock); err == nil {
			t.Errorf("%+v is taken for %+v", right, wrong)
		}
	}
}

func TestAnAgentIsCopiedWithItsCommandsOnThePath(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/a": 0o644, "README": 0o600, "voice/host": 0o755} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	made := grow(t, func(made *tree) error { return pin{commands: map[string]string{"a": "bin/a"}}.copy(made, dir) })
	if n := made.nodes["opt/agent/bin/a"]; n == nil || n.mode != 0o755 {
		t.Errorf("the command is %+v", n)
	}
	if n := made.nodes["usr/local/bin/a"]; n == nil || n.target != "/opt/agent/bin/a" {
		t.Errorf("its link is %+v", n)
	}
	if made.has("opt/agent/voice/host") || !made.has("opt/agent/README") {
		t.Error("what belongs to a pod is not what is in the image")
	}
	if err := (pin{commands: map[string]string{"b": "bin/b"}}).copy(made, dir); err == nil {
		t.Error("a command without its file is accepted")
	}
}

func TestWhatDoesNotExistHasNoImage(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../services/gateway", "billing", "rdev-runner"} {
		if made, err := Service(t.Context(), repository(t), name); err == nil {
			t.Errorf("%q has the image %+v", name, made)
		}
	}
	o := repository(t)
	for _, agent := range []string{"gemini", "cursor"} {
		o.Agent = agent
		if _, err := o.agent(t.Context(), o.store()); err == nil {
			t.Errorf("there is a claudebox with %s", agent)
		}
	}
}
