package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/runner"
	"github.com/orchard9/rdev/services/executor/internal/runner/process"
	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// asRunner makes the test binary rdev-runner, as which it runs itself.
const asRunner = "rdev-runner"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == asRunner {
		os.Exit(runner.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// bench is a state directory with a workspace.
type bench struct {
	*testing.T
	root, workspace string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{T: t, root: t.TempDir(), workspace: t.TempDir()}
}

// call runs a subcommand below sh, which may set limits first.
func (b *bench) call(limits, stdin string, args ...string) []byte {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	script := limits + ` exec -a ` + asRunner + ` "$@"`
	command := exec.CommandContext(b.Context(), "bash", append([]string{"-c", script, "bash", self}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	if slices.Contains(args, "attach") {
		held, release, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		defer held.Close()
		defer release.Close()
		command.Stdin = held
	}
	out, err := command.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		b.Fatal(err)
	}
	return out
}

func (b *bench) start(limits, id, script string, limit int64) {
	b.Helper()
	spec, err := json.Marshal(wire.Spec{
		Argv: []string{"/bin/sh", "-c", script}, Workspace: b.workspace, Env: []string{"PATH=/usr/bin:/bin"}, SpoolLimit: limit,
	})
	if err != nil {
		b.Fatal(err)
	}
	if out := b.call(limits, string(spec), "start", "-root", b.root, "-run", id, "-token", "1"); string(out) != "{}\n" {
		b.Fatalf("start: %s", out)
	}
}

func (b *bench) attach(id string) (output []byte, status wire.Status) {
	b.Helper()
	reader := wire.NewReader(bytes.NewReader(b.call("", "", "attach", "-root", b.root, "-run", id, "-token", "1")), 0)
	for {
		frame, reply, err := reader.Next()
		if err != nil {
			b.Fatal(err)
		}
		if reply != nil {
			if reply.Status == nil {
				b.Fatalf("attach: %+v", reply)
			}
			return output, *reply.Status
		}
		output = append(output, frame.Data...)
	}
}

func TestAFullDiskEndsTheProgramAndIsTold(t *testing.T) {
	b := newBench(t)
	b.start("ulimit -f 200;", "full", "head -c 100000 /dev/zero; yes; sleep 600", 0)
	output, status := b.attach("full")
	if !status.Known || !strings.Contains(status.Error, "store output") || status.Dropped == 0 {
		t.Errorf("status = %+v, want an error about the output", status)
	}
	if len(output) < 100_000 {
		t.Errorf("%d bytes of output are kept, want 100000 at least", len(output))
	}
}

func TestOutputBeyondTheLimitIsDroppedAndCounted(t *testing.T) {
	b := newBench(t)
	b.start("", "much", "head -c 3000000 /dev/zero; exit 5", 1<<20)
	output, status := b.attach("much")
	if status.Code != 5 || status.Error != "" || int64(len(output))+status.Dropped != 3_000_000 || len(output) > 1<<20 {
		t.Errorf("%d bytes of output, status %+v", len(output), status)
	}
}

func TestWithoutSupervisorAndGuardTheMarkFindsWhatIsLeft(t *testing.T) {
	b := newBench(t)
	b.start("", "lost", "setsid sleep 600 & sleep 600 & echo $!; wait", 0)
	root, err := store.Open(b.root)
	if err != nil {
		t.Fatal(err)
	}
	run, err := root.Run("lost")
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	known, err := run.Process()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(5 * time.Millisecond); len(b.marked(run)) != 4; <-tick { // guard, sh, its children
		if time.Now().After(deadline) {
			t.Fatalf("processes of the run are %v", b.marked(run))
		}
	}
	_, _ = syscall.Kill(known.Supervisor, syscall.SIGSTOP), syscall.Kill(known.Guard, syscall.SIGSTOP)
	_, _ = syscall.Kill(known.Supervisor, syscall.SIGKILL), syscall.Kill(known.Guard, syscall.SIGKILL)
	if _, status := b.attach("lost"); status.Known {
		t.Errorf("status = %+v, want an unknown one", status)
	}
	if left := b.marked(run); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestASpoolThatLostItsEndIsReadAsFarAsItGoes(t *testing.T) {
	b := newBench(t)
	b.start("", "torn", "echo one; sleep 600", 0)
	root, err := store.Open(b.root)
	if err != nil {
		t.Fatal(err)
	}
	run, err := root.Run("torn")
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	spool := filepath.Join(b.root, "runs", "torn", "spool")
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		if info, err := os.Stat(spool); err != nil || time.Now().After(deadline) {
			t.Fatalf("no output: %v", err)
		} else if info.Size() > 0 {
			break
		}
	}
	if out := b.call("", "", "attach", "-root", b.root, "-run", "torn", "-token", "1", "-from", "1000"); !strings.Contains(string(out), `"invalid"`) {
		t.Errorf("attach beyond the end of a run that lives: %q", out)
	}
	known, err := run.Process()
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(known.Supervisor, syscall.SIGKILL)
	if output, status := b.attach("torn"); string(output) != "one\n" || status.Known {
		t.Errorf("output %q, status %+v", output, status)
	}
	file, err := os.OpenFile(spool, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if output, status := b.attach("torn"); string(output) != "one\n" || status.Known {
		t.Errorf("output %q, status %+v", output, status)
	}
	out := b.call("", "", "attach", "-root", b.root, "-run", "torn", "-token", "1", "-from", "1000000")
	if _, reply, err := wire.NewReader(bytes.NewReader(out), 0).Next(); err != nil || reply == nil || reply.Status == nil || reply.Status.Known {
		t.Errorf("attach beyond the end: %+v, %v", reply, err)
	}
}

// marked lists the processes of a run.
func (b *bench) marked(run *store.Run) []int {
	table, err := process.Table()
	if err != nil {
		b.Fatal(err)
	}
	var pids []int
	for _, p := range table {
		if !p.Zombie && process.Marked(p.PID, run.Record.Mark) {
			pids = append(pids, p.PID)
		}
	}
	return pids
}

func TestRefusalsHaveTheirExitCodes(t *testing.T) {
	root := t.TempDir()
	for args, want := range map[string]wire.Fault{
		"":                                    wire.FaultInvalid,
		"dance -root " + root:                 wire.FaultInvalid,
		"list -root relative":                 wire.FaultInvalid,
		"list -unknown":                       wire.FaultInvalid,
		"list more -root " + root:             wire.FaultInvalid,
		"adopt -run ../x -root " + root:       wire.FaultInvalid,
		"start -run a -root " + root:          wire.FaultInvalid,
		"cancel -run a -root " + root:         wire.FaultNoRun,
		"input -run a -token 1 -root " + root: wire.FaultNoRun,
		"clean -run a -root " + root:          "",
		"place -run a -root " + root:          wire.FaultNotPrepared,
		"prepare -run ../a -root " + root:     wire.FaultInvalid,
		"list -root " + root:                  "",
	} {
		var out bytes.Buffer
		code := runner.Main(t.Context(), strings.Fields(args), strings.NewReader(""), &out, &out)
		var reply wire.Reply
		if err := json.Unmarshal(out.Bytes(), &reply); err != nil || reply.Fault != want || code != want.ExitCode() {
			t.Errorf("%q: exit code %d, reply %s, want %q", args, code, out.String(), want)
		}
	}
}

func TestTheFirstProcessOfAContainerBuriesOrphansAndEndsWhenTold(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Its children are those of the shell that it takes the place of.
	script := `sleep 0.5 & sleep 0.6 & exec -a ` + asRunner + ` "$1" idle`
	command := exec.CommandContext(t.Context(), "bash", "-c", script, "bash", self)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	children := func() int {
		table, err := process.Table()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range table {
			if p.Parent == command.Process.Pid {
				n++
			}
		}
		return n
	}
	deadline := time.Now().Add(time.Minute)
	for _, reached := range []func(int) bool{func(n int) bool { return n == 2 }, func(n int) bool { return n == 0 }} {
		for tick := time.Tick(5 * time.Millisecond); !reached(children()); <-tick {
			if time.Now().After(deadline) {
				t.Fatalf("%d children, zombies or not", children())
			}
		}
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
