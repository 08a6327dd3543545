package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/process"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// orphaned is the signal that tells a guard of its supervisor's death.
const orphaned = unix.SIGUSR1

// sweepPause is the time between two sweeps of an orphaned guard.
const sweepPause = 5 * time.Millisecond

// RunGuard is the life of a guard. It starts the program that it is told of,
// reports how it ends, passes SIGTERM on to its group, and reaps what is left to
// it until there is nothing.
func RunGuard() error {
	runtime.LockOSThread() // the death of the supervisor is told to a thread
	for fd := specFD; fd <= aliveFD; fd++ {
		unix.CloseOnExec(fd)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, orphaned)
	specIn, reports := os.NewFile(specFD, "spec"), json.NewEncoder(os.NewFile(reportsFD, "reports"))
	var spec wire.Spec
	if err := json.NewDecoder(specIn).Decode(&spec); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	if _, err := io.Copy(io.Discard, specIn); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	_ = specIn.Close()
	if err := prepare(spec.Confine); err != nil {
		return reports.Encode(Report{Error: err.Error()})
	}
	pid, err := Start(spec, [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		return reports.Encode(Report{Error: err.Error()})
	}
	// Where the supervisor is gone by now, the program goes with this process.
	if err := errors.Join(detach(), reports.Encode(Report{})); err != nil {
		return err
	}
	go obey(signals, pid)
	for {
		child, status, err := reap(0)
		if err != nil {
			return nil //nolint:nilerr // nothing is left
		}
		if child == pid {
			for child, err = pid, nil; child != 0 && err == nil; {
				child, _, err = reap(unix.WNOHANG)
			}
			// A supervisor that is gone cannot be told.
			_ = reports.Encode(Report{Code: status.ExitStatus(), Signal: signalName(status), Alone: err != nil})
		}
	}
}

// reap buries a child that has ended; an error says that there is no child.
func reap(options int) (child int, status unix.WaitStatus, err error) {
	for {
		child, err = unix.Wait4(-1, &status, options, nil)
		if !errors.Is(err, unix.EINTR) {
			return child, status, err
		}
	}
}

// prepare arranges for the end of everything with the supervisor's: a namespace
// dies with its init, and a subreaper sweeps.
func prepare(c *wire.Confinement) error {
	if c != nil && c.Namespaces {
		mountProc()
		return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(orphaned), 0, 0, 0)
}

// obey passes signals on to the program's group, and sweeps when it is orphaned
// until the end of this process, which comes when nothing is left.
func obey(signals <-chan os.Signal, pid int) {
	for signal := range signals {
		if signal != orphaned {
			_ = unix.Kill(-pid, unix.SIGTERM)
			continue
		}
		for range time.Tick(sweepPause) {
			process.KillBelow(os.Getpid(), 0, nil)
		}
	}
}

func signalName(status unix.WaitStatus) string {
	if !status.Signaled() {
		return ""
	}
	if name := unix.SignalName(status.Signal()); name != "" {
		return name
	}
	return fmt.Sprintf("SIG%d", status.Signal())
}

// mountProc shows the namespace its own processes. A kernel that refuses, as
// inside many containers, leaves the outer list of processes visible; Landlock
// keeps their memory and environment closed.
func mountProc() {
	if unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "") != nil {
		return
	}
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// detach lets go of the program's standard files, whose end would not be seen
// for as long as this process held them.
func detach() error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}
