package templates_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/templates"
)

// patience is how long a program may take to answer.
const patience = 30 * time.Second

// write puts files into a directory of the test's.
func write(t *testing.T, files map[string]templates.File) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for path, file := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, file.Data, file.Mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// run runs a script in a directory, without the network for Go, and returns what it said.
func run(t *testing.T, dir, script string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOTOOLCHAIN=local", "GOWORK=")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// goAlone is the environment for a module without its workspace.
func goAlone() []string { return []string{"GOFLAGS=-mod=mod", "GOWORK=off"} }

// directoryOf is where a component is.
func directoryOf(component templates.Component) string {
	for _, template := range templates.List() {
		for _, kind := range template.Components {
			if kind.Name == component.Kind {
				return kind.Directory + "/" + component.Name
			}
		}
	}
	return ""
}

// serves starts a program, asks it whether it lives, and wants it to end well once it is
// told to.
func serves(t *testing.T, program string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), "PORT=0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(log)
	var line struct{ Msg, Addr string }
	for line.Msg != "listening" {
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
	}
	_, port, err := net.SplitHostPort(line.Addr)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/health", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: patience}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(body) != `{"status":"ok"}`+"\n" {
		t.Errorf("%s: %d %q, %v", program, response.StatusCode, body, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, log); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", program, err)
	}
}

func TestTheDefaultTemplateTestsItself(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "default", templates.Project{Name: "shop"}))
	if out := run(t, dir, "chmod -x scripts/*; sh scripts/test.sh; sh scripts/run.sh"); out != "hello from shop\n" {
		t.Errorf("it says %q", out)
	}
	run(t, dir, "sed -i s/hello/bye/ scripts/run.sh; ! sh scripts/test.sh")
}

func TestGoAPIBuildsAndPassesItsTests(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "go-api", templates.Project{Name: "shop", Values: map[string]string{"module": "git.example.com/Team/shop/v2"}}))
	run(t, dir, `test -z "$(gofmt -l .)"; go vet ./...; go test ./...; CGO_ENABLED=0 go build -trimpath -o bin/shop .`, goAlone()...)
	serves(t, filepath.Join(dir, "bin", "shop"))
}

// What CI runs passes for each component, alone in the monorepo and beside all others; each
// module also builds without the workspace, as its image is made.
func TestGoComponentsBuildAndPassTheirTests(t *testing.T) {
	t.Parallel()
	var list []templates.Component
	for _, component := range all() {
		if !strings.HasPrefix(component.Kind, "app") {
			list = append(list, component)
		}
	}
	for name, components := range map[string][]templates.Component{"none": nil, "all": list, list[0].Kind: list[:1], list[1].Kind: list[1:2], list[2].Kind: list[2:]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := write(t, render(t, "monorepo", templates.Project{Name: "shop", Components: components}))
			// go get writes go.work anew where a module needs a later Go, and that is no change by hand.
			run(t, dir, "cp go.work as-rendered; go work edit -fmt; cmp as-rendered go.work")
			out := run(t, dir, "chmod -x scripts/*; sh scripts/check.sh")
			if !strings.HasPrefix(out, "== pkg\n") || strings.Count(out, "== ") != 1+len(components) {
				t.Errorf("it says\n%s", out)
			}
			for _, component := range components {
				if _, err := os.Stat(filepath.Join(dir, "bin", component.Name)); err != nil {
					t.Error(err)
				}
				run(t, filepath.Join(dir, directoryOf(component)), "go vet ./...; go build -o /dev/null .", goAlone()...)
			}
			if name == "all" {
				serves(t, filepath.Join(dir, "bin", "api"))
				serves(t, filepath.Join(dir, "bin", "mail"))
			}
		})
	}
}

func TestCheckRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := write(t, render(t, "monorepo", templates.Project{Name: "shop", Components: []templates.Component{{"cli", "ctl"}}}))
	for _, wrong := range []string{
		"! scripts/check.sh services/none",
		"echo ' ' >> cli/ctl/main.go; ! scripts/check.sh cli/ctl; gofmt -w cli/ctl/main.go",
		"sed -i s/world/World/ cli/ctl/main.go; ! scripts/check.sh; ! scripts/check.sh cli/ctl",
	} {
		run(t, dir, wrong)
	}
}
