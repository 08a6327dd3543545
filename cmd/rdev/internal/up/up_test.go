package up_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/testkit"
)

func TestSIGTERMEndsEverythingAndLeavesNoProcess(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	i.must("projects", "create", "shop")
	op := strings.TrimSpace(i.must("run", "--detach", "--", "sh", "-c", "setsid sleep 1000 & sleep 1000"))
	awaitState(t, i, op, "running")
	master := masterKey(t, home)
	i.stop()
	if left := processesOf(t, home); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(home, "ready.json")); !os.IsNotExist(err) {
		t.Errorf("ready.json is left: %v", err)
	}

	// What it was doing is not forgotten: the next start knows how it ended.
	i = start(t, home)
	if out := i.must("ops", "get", op); !strings.Contains(out, "failed") || !strings.Contains(out, "rdev was stopped") {
		t.Errorf("the operation that was stopped:\n%s", out)
	}
	if masterKey(t, home) != master {
		t.Error("the vault's master key is not kept")
	}
	i.stop()
}

// masterKey reads the vault's, which nobody else may.
func masterKey(t *testing.T, home string) string {
	t.Helper()
	path := filepath.Join(home, "master-key")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the mode of the master key is %o", mode)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

func TestASecondRdevOnTheSameHomeIsRefused(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	second := launch(t, home)
	err := <-second.ended
	second.ended <- nil
	if err == nil || !strings.Contains(second.output.String(), "rdev is up already") {
		t.Errorf("the second: %v, %s", err, second.output)
	}
	i.must("projects", "create", "shop") // the first goes on
	i.stop()
}

// The run goes on while no rdev is there, and the next one joins it.
func TestACommandOutlivesAnRdevThatIsKilled(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	i.must("projects", "create", "shop")
	const lines = 3000
	script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do echo "line $i of the output"; i=$((i+1)); [ $((i %% 100)) -ne 0 ] || sleep 0.1; done; exit 7`, lines)
	op := strings.TrimSpace(i.must("run", "--detach", "--script", script))
	awaitState(t, i, op, "running")
	i.kill()

	i = start(t, home)
	out := i.must("ops", "output", op)
	var want strings.Builder
	for n := range lines {
		fmt.Fprintf(&want, "line %d of the output\n", n)
	}
	if hash(out) != hash(want.String()) {
		t.Errorf("%d bytes of output, want %d, byte for byte", len(out), want.Len())
	}
	if state := i.must("ops", "get", op, "-o", "json"); !strings.Contains(state, `"exit_code": 7`) || !strings.Contains(state, `"attempt": 2`) {
		t.Errorf("want exit code 7 in attempt 2:\n%s", state)
	}
	i.stop()
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func awaitState(t *testing.T, i *instance, op, state string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		if out := i.must("ops", "get", op); !strings.Contains(out, state) {
			return fmt.Errorf("not %s yet:\n%s", state, out)
		}
		return nil
	})
}

// processesOf lists the processes that have a home in their command line or as
// their directory.
func processesOf(t *testing.T, home string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		cmdline, _ := os.ReadFile(filepath.Join(entry, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(entry, "cwd"))
		if strings.Contains(string(cmdline), home) || strings.HasPrefix(cwd, home) {
			found = append(found, entry+": "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	return found
}
