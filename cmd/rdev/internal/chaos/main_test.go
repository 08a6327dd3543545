// Package chaos breaks a whole rdev in every way that its design allows for, and
// then checks what it promises. It has tests only.
package chaos

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor"
)

// executorCommand has this test program be an executor instead of the tests:
// one that can be killed and frozen without them.
const executorCommand = "be-an-executor"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == executorCommand {
		os.Exit(beAnExecutor(os.Args[2], os.Args[3], os.Args[4]))
	}
	os.Exit(m.Run())
}

// lease is short, so that what is left behind is soon taken over.
func lease() contract.Lease {
	return contract.Lease{AckWait: 3 * time.Second, Heartbeat: time.Second, SelfFence: 2200 * time.Millisecond}
}

// workers is how many workers the machine has, which the executors share.
const workers = 3

// beAnExecutor runs until its standard input ends, which it does with the tests.
func beAnExecutor(natsURL, runner, workersDir string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
		cancel()
	}()
	err := executor.Run(ctx, executor.Config{
		NATS: bus.Settings{URL: natsURL}, Runner: runner, Slots: 8, AllowUnconfined: true, Runtime: contract.RuntimeLocal, Workers: workers, WorkersDir: workersDir,
		Timeout: time.Minute, AgentSilence: time.Minute, Grace: 300 * time.Millisecond, MaxOutput: 64 << 20,
		Lease: lease(),
	}, log)
	if err != nil {
		log.Error("the executor ended", "error", err)
		return 1
	}
	return 0
}

// buildRunner builds rdev-runner, which is a program of its own.
func buildRunner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rdev-runner")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/orchard9/rdev/services/executor/cmd/rdev-runner")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build rdev-runner: %v\n%s", err, text)
	}
	return path
}
