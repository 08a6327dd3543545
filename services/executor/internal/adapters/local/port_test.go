package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/adapters/local"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func TestAProgramIsToldThePortOfItsProject(t *testing.T) {
	runtime, project := newRuntime(t, local.Config{Runner: buildRunner(t)}), newProject(t)
	const script = `echo "${PORT-none}"`
	note := filepath.Join(filepath.Dir(project.Workspace), "port")
	if out, _ := runScript(t, runtime, project, "before", script); out != "none\n" {
		t.Errorf("without a note it is told %q", out)
	}
	if err := os.WriteFile(note, []byte("20001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := runScript(t, runtime, project, "after", script); out != "20001\n" {
		t.Errorf("it is told %q", out)
	}
	spec := domain.RunSpec{
		RunRef: domain.RunRef{Project: project.Slug, Workspace: project.Workspace, ID: "own", Token: 1},
		Argv:   []string{"sh", "-c", script}, Env: []string{"PORT=3000"},
	}
	if out := started(t, runtime, spec); out != "3000\n" {
		t.Errorf("with one of its own it is told %q", out)
	}
	spec.RunRef = domain.RunRef{
		Project: project.Slug, Worker: "w", Fresh: true, ID: "work", Token: 2,
		Workspace: filepath.Join(filepath.Dir(project.Workspace), "worker"),
	}
	spec.Env = nil
	if out := started(t, runtime, spec); out != "none\n" {
		t.Errorf("work is told %q", out)
	}
	if err := os.WriteFile(note, []byte("70000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.RunRef = domain.RunRef{Project: project.Slug, Workspace: project.Workspace, ID: "nonsense", Token: 3}
	err := runtime.Start(t.Context(), spec)
	if refused, ok := errors.AsType[*domain.RefusedError](err); !ok || !strings.Contains(refused.Reason, note) {
		t.Errorf("got %v", err)
	}
}

// started is what a program prints.
func started(t *testing.T, runtime *local.Runtime, spec domain.RunSpec) string {
	t.Helper()
	if err := runtime.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := runtime.Attach(t.Context(), spec.RunRef, 0, func(frame domain.Frame) error {
		out.Write(frame.Data)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
