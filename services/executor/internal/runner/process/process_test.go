package process_test

import (
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/orchard9/rdev/services/executor/internal/runner/process"
)

func TestBelowFindsGrandchildrenWhateverTheOrder(t *testing.T) {
	table := []process.Process{{PID: 5, Parent: 4}, {PID: 4, Parent: 3}, {PID: 3, Parent: 2}, {PID: 2, Parent: 1}, {PID: 9, Parent: 1}}
	var found []int
	for _, p := range process.Below(table, 3) {
		found = append(found, p.PID)
	}
	slices.Sort(found)
	if !slices.Equal(found, []int{4, 5}) {
		t.Errorf("below 3 are %v, want 4 and 5", found)
	}
}

func TestAMarkedProcessIsSweptAndAStrangerIsNot(t *testing.T) {
	start := func(mark string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), "sh", "-c", "echo; exec sleep 600")
		command.Env = []string{"PATH=" + "/usr/bin:/bin", process.MarkName + "=" + mark}
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return command
	}
	mine, stranger := start("one.1.sweep-test"), start("one.1.sweep-test-other")
	if n, err := process.Sweep(t.Context(), "one.1.sweep-test"); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want 1", n, err)
	}
	if err := mine.Wait(); err == nil {
		t.Error("the marked process was not killed")
	}
	if _, err := process.Find(stranger.Process.Pid); err != nil {
		t.Errorf("the stranger is gone: %v", err)
	}
	_, _ = stranger.Process.Kill(), stranger.Wait()
}

func TestKillSparesAnotherProcessOfTheSamePID(t *testing.T) {
	command := exec.CommandContext(t.Context(), "sleep", "600")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	now, err := process.Find(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if now.Parent != os.Getpid() {
		t.Errorf("parent = %d, want %d", now.Parent, os.Getpid())
	}
	other := now
	other.Start--
	if err := process.Kill(other); err != nil {
		t.Errorf("Kill = %v", err)
	}
	if again, err := process.Find(command.Process.Pid); err != nil || again.Zombie {
		t.Errorf("the process was killed for another: %+v, %v", again, err)
	}
	if err := process.Kill(now); err != nil {
		t.Errorf("Kill = %v", err)
	}
	if err := command.Wait(); err == nil {
		t.Error("the process was not killed")
	}
}
