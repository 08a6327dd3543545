package local_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/adapters/local"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/runtimetest"
)

// buildRunner builds rdev-runner as it is shipped.
func buildRunner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rdev-runner")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../../cmd/rdev-runner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build rdev-runner: %v\n%s", err, out)
	}
	return path
}

func newProject(t *testing.T) contract.Project {
	t.Helper()
	workspace := filepath.Join(t.TempDir(), "projects", "blue-fox")
	if err := os.MkdirAll(workspace, 0o755); err != nil {
		t.Fatal(err)
	}
	return contract.Project{Slug: "blue-fox", Workspace: workspace, Runtime: "local"}
}

func newRuntime(t *testing.T, config local.Config) *local.Runtime {
	t.Helper()
	life, end := context.WithCancel(context.Background()) // longer than that of what the test cleans up
	t.Cleanup(end)
	runtime, err := local.New(life, config)
	if err != nil {
		t.Fatal(err)
	}
	return runtime
}

func TestRuntimeUnconfinedConforms(t *testing.T) {
	runner := buildRunner(t)
	runtimetest.Run(t, func(t *testing.T) (app.Runtime, contract.Project) {
		t.Helper()
		return newRuntime(t, local.Config{Runner: runner, AllowUnconfined: true, Unconfined: true}), newProject(t)
	})
}

func TestRuntimeConfinedConforms(t *testing.T) {
	runner := buildRunner(t)
	runtimetest.Run(t, func(t *testing.T) (app.Runtime, contract.Project) {
		t.Helper()
		return newRuntime(t, local.Config{Runner: runner}), newProject(t)
	})
}

func TestRuntimeWithoutNamespacesConforms(t *testing.T) {
	runner := buildRunner(t)
	runtimetest.Run(t, func(t *testing.T) (app.Runtime, contract.Project) {
		t.Helper()
		return newRuntime(t, local.Config{Runner: runner}).WithoutNamespaces(), newProject(t)
	})
}
