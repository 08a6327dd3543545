package up_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/up"
	"github.com/orchard9/rdev/libs/testkit"
)

// binaries is where rdev and rdev-runner are, built as a user has them.
var binaries string

// root is the repository.
var root string

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == askDatabase {
		os.Exit(asksDatabase())
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rdev-up-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	binaries = filepath.Join(dir, "bin")
	if root, err = filepath.Abs("../../../.."); err != nil {
		return fail(err)
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binaries+"/", "./cmd/rdev", "./services/executor/cmd/rdev-runner")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fail(fmt.Errorf("%w\n%s", err, out))
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// instance is an `rdev up` that a test started.
type instance struct {
	t      testing.TB
	home   string
	cmd    *exec.Cmd
	output *bytes.Buffer
	ended  chan error
	up.Ready
	took time.Duration // until it was ready
}

// start starts rdev on a home and waits until it is ready.
func start(t testing.TB, home string) *instance {
	t.Helper()
	i := launch(t, home)
	begin := time.Now()
	testkit.Eventually(t, func() error {
		select {
		case err := <-i.ended:
			i.ended <- err
			t.Fatalf("rdev up ended: %v\n%s", err, i.output)
		default:
		}
		text, err := os.ReadFile(filepath.Join(home, "ready.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &i.Ready); err != nil {
			return err
		}
		if i.PID != i.cmd.Process.Pid {
			return fmt.Errorf("ready.json is of process %d, which was killed", i.PID)
		}
		return nil
	})
	i.took = time.Since(begin)
	return i
}

func launch(t testing.TB, home string) *instance {
	t.Helper()
	i := &instance{t: t, home: home, output: &bytes.Buffer{}}
	i.cmd = exec.Command(filepath.Join(binaries, "rdev"), "up")
	i.cmd.Env = append(os.Environ(), "RDEV_HOME="+home, "RDEV_ADDR=127.0.0.1:0", "RDEV_NATS_ADDR=127.0.0.1:0")
	i.begin()
	return i
}

// begin starts the process; it has ended when the test has.
func (i *instance) begin() {
	i.t.Helper()
	i.ended = make(chan error, 1)
	i.cmd.Stdout, i.cmd.Stderr = i.output, i.output
	i.cmd.WaitDelay = testkit.Patience
	if err := i.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() { i.ended <- i.cmd.Wait() }()
	i.t.Cleanup(func() {
		select {
		case <-i.ended:
		default:
			_ = i.cmd.Process.Kill() // the test has failed already
			<-i.ended
		}
		if i.t.Failed() {
			i.t.Logf("%s said:\n%s", filepath.Base(i.cmd.Path), i.output)
		}
	})
}

// stop sends SIGTERM and wants exit code 0.
func (i *instance) stop() {
	i.t.Helper()
	if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		i.t.Fatal(err)
	}
	err := <-i.ended
	i.ended <- nil
	if err != nil {
		i.t.Errorf("%s after SIGTERM: %v", filepath.Base(i.cmd.Path), err)
	}
}

// kill ends it with nothing but SIGKILL.
func (i *instance) kill() {
	i.t.Helper()
	if err := i.cmd.Process.Kill(); err != nil {
		i.t.Fatal(err)
	}
	<-i.ended
	i.ended <- nil
}

// rdev runs a command line against the instance.
func (i *instance) rdev(args ...string) (stdout string, code int) {
	i.t.Helper()
	cmd := exec.CommandContext(i.t.Context(), filepath.Join(binaries, "rdev"), args...)
	cmd.Env = append(os.Environ(), "RDEV_HOME="+i.home, "RDEV_PROJECT=shop")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		i.t.Fatal(err)
	}
	if errOut.Len() > 0 {
		i.t.Logf("rdev %s: %s", strings.Join(args, " "), &errOut)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// must is rdev for a command that has to go well.
func (i *instance) must(args ...string) string {
	i.t.Helper()
	out, code := i.rdev(args...)
	if code != 0 {
		i.t.Fatalf("rdev %s: exit code %d", strings.Join(args, " "), code)
	}
	return out
}
