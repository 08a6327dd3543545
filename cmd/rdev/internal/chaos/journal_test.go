package chaos

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

// checkJournal wants the jobs of a project to have run one after another, each
// once, in the order in which they were accepted.
func checkJournal(t *testing.T, h history, l *load, slug, workspace string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(workspace, journal))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var ran []string // jobs, in the order of their first line
	steps, complete := map[string]int{}, map[string]bool{}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		word, key, _ := strings.Cut(line, " ")
		current := len(ran) > 0 && ran[len(ran)-1] == key
		switch {
		case word == "start" && slices.Contains(ran, key):
			t.Errorf("%s, line %d: %s starts again", slug, n+1, key)
		case word == "start":
			ran = append(ran, key)
		case !current:
			t.Errorf("%s, line %d: %s while another runs", slug, n+1, line)
		case word == "step":
			steps[key]++
		case word == "end":
			complete[key] = true
		}
	}
	var accepted []string
	for _, id := range h.accepted {
		j, ok := l.jobs[id]
		if !ok || j.project != slug || j.work {
			continue
		}
		state := h.operations[id].State
		if slices.Contains(ran, j.key) {
			accepted = append(accepted, j.key)
		} else if state != contract.Cancelled {
			t.Errorf("%s is %s and never started", j.key, state)
		}
		if state != contract.Cancelled && (!complete[j.key] || steps[j.key] != j.steps) {
			t.Errorf("%s is %s after %d of %d steps", j.key, state, steps[j.key], j.steps)
		}
	}
	if !slices.Equal(ran, accepted) {
		t.Errorf("%s ran %v, want the order of the log, %v", slug, ran, accepted)
	}
}

// checkNothingLives wants no process of a run to be left.
func checkNothingLives(t *testing.T, workspaces string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range processes {
		// A process that has ended meanwhile has no command line.
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), workspaces) && !strings.Contains(string(text), executorCommand) {
			t.Errorf("still alive: %s", strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
}
