package up_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/orchard9/rdev/cmd/rdev/internal/up"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/executor"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

func TestTheConfigurationPageListsEveryVariable(t *testing.T) {
	page := "# Configuration\n\nEvery environment variable, by program. Made from the code: `go test ./cmd/rdev/internal/up -run Configuration -update`.\n" +
		"What each one means stands beside its field, in the program's `Config`.\n"
	for _, p := range []struct {
		name, where string
		variables   []envutil.Variable
	}{
		{"rdev up", "cmd/rdev/internal/up/up.go", envutil.Describe[up.Config]()},
		{"gateway", "services/gateway/gateway.go", envutil.Describe[gateway.Config]()},
		{"gateway streams", "services/gateway/streams.go", envutil.Describe[gateway.Streams]()},
		{"provisioner", "services/provisioner/provisioner.go", envutil.Describe[provisioner.Config]()},
		{"executor", "services/executor/executor.go", envutil.Describe[executor.Config]()},
		{"audit", "services/audit/audit.go", envutil.Describe[audit.Config]()},
		{"notifier", "services/notifier/notifier.go", envutil.Describe[notifier.Config]()},
	} {
		page += fmt.Sprintf("\n## %s\n\nSee [%s](../%s).\n\n| variable | default |\n|---|---|\n", p.name, p.where, p.where)
		for _, v := range p.variables {
			value := "`" + v.Default + "`"
			switch {
			case v.Required:
				value = "required"
			case v.Default == "":
				value = ""
			}
			page += fmt.Sprintf("| `%s` | %s |\n", v.Name, value)
		}
	}
	path := filepath.Join(root, "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Error("docs/configuration.md is not what the code says; run this test with -update")
	}
}

// The commands of docs/nats.md are run against a running rdev.
func TestTheCommandsOfTheNATSPageWork(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs", "nats.md"))
	if err != nil {
		t.Fatal(err)
	}
	i := start(t, t.TempDir())
	i.must("projects", "create", "shop")
	i.must("run", "--", "true")
	script := "set -euo pipefail\n"
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		script += string(block[1])
	}
	build := exec.CommandContext(t.Context(), "make", "-s", "nats")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make nats: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Env = append(os.Environ(), "RDEV_HOME="+i.home, "PATH="+binaries+":"+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"RDEV_EVENTS", "rdev.events.project.created.shop", "executor", `"operations":[{`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in the output:\n%s", want, out)
		}
	}
	i.stop()
}
