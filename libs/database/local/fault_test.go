package local_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/database/local"
)

// childDir makes the test binary a supervisor of that directory, to be killed.
const childDir = "-supervise="

func TestMain(m *testing.M) {
	if last := os.Args[len(os.Args)-1]; strings.HasPrefix(last, childDir) {
		os.Exit(supervise(strings.TrimPrefix(last, childDir)))
	}
	os.Exit(m.Run())
}

// supervise starts the server, says where it is, and waits to be killed.
func supervise(dir string) int {
	server, err := local.Start(context.Background(), local.Options{Dir: dir, Durable: true})
	if err != nil {
		os.Stdout.WriteString("error: " + err.Error() + "\n")
		return 1
	}
	os.Stdout.WriteString(server.URL("") + "\n")
	<-server.Done()
	return 0
}

// child runs supervise in a process of its own and returns what it says.
func child(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], childDir+dir)
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	line, err := bufio.NewReader(output).ReadString('\n')
	must(t, err)
	return command, strings.TrimSpace(line)
}

// postmaster is the process that the cluster's note names.
func postmaster(t *testing.T, dir string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	must(t, err)
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	must(t, err)
	return pid
}

func TestAKilledSupervisorTakesTheServerWithIt(t *testing.T) {
	t.Parallel()
	supervisor, url := child(t, t.TempDir())
	must(t, execute(t, url, `select 1`))
	must(t, supervisor.Process.Kill())
	supervisor.Wait()
	for deadline := time.Now().Add(patience); execute(t, url, `select 1`) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server still answers")
		}
	}
}

func TestAfterAKilledSupervisorTheNextOneRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	supervisor, url := child(t, dir)
	must(t, execute(t, url, `create table kept (id int)`))
	must(t, execute(t, url, `insert into kept values (1)`))
	must(t, supervisor.Process.Kill())
	supervisor.Wait()
	// Not waiting for the server: the next start has to cope with one that is about to end.
	again := start(t, local.Options{Dir: dir, Durable: true})
	must(t, execute(t, again.URL(""), `insert into kept select id + 1 from kept`))
}

func TestAnotherProcessIsRefusedTheSameDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, local.Options{Dir: dir, Template: template(t)})
	_, said := child(t, dir)
	if !strings.Contains(said, local.ErrInUse.Error()) || !strings.Contains(said, "by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("it said %q", said)
	}
}

func TestANoteOfADeadServerDoesNotHinderTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := local.Options{Dir: dir, Durable: true}
	stop(t, start(t, options))
	// Its id now belongs to a process that is alive and no server.
	innocent := exec.CommandContext(t.Context(), "sleep", "600")
	must(t, innocent.Start())
	t.Cleanup(func() { innocent.Process.Kill(); innocent.Wait() })
	note := filepath.Join(dir, "data", "postmaster.pid")
	must(t, os.WriteFile(note, []byte(strconv.Itoa(innocent.Process.Pid)+"\n"+filepath.Dir(note)+"\n1\n5432\n\n\n"), 0o600))
	must(t, execute(t, start(t, options).URL(""), `select 1`))
	must(t, innocent.Process.Signal(syscall.Signal(0)))
}

func TestAServerThatDiesIsReportedAndCanBeStartedAgain(t *testing.T) {
	t.Parallel()
	options := local.Options{Dir: t.TempDir(), Durable: true}
	server := start(t, options)
	must(t, execute(t, server.URL(""), `create table kept (id int)`))
	must(t, syscall.Kill(postmaster(t, options.Dir), syscall.SIGKILL))
	select {
	case <-server.Done():
	case <-time.After(patience):
		t.Fatal("the end of the server was not noticed")
	}
	// The processes of its sessions end when they notice, a little later.
	again := start(t, options)
	must(t, execute(t, again.URL(""), `insert into kept values (1)`))
}

func TestAStartThatIsCanceledLeavesNoServer(t *testing.T) {
	t.Parallel()
	options := local.Options{Dir: t.TempDir(), Template: template(t)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := local.Start(ctx, options); err == nil {
		t.Fatal("it started")
	} else if errors.Is(err, local.ErrInUse) {
		t.Fatal(err)
	}
	start(t, options)
}
