package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/process"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// GuardCommand is the subcommand under which the runner calls RunGuard.
const GuardCommand = "guard"

// Descriptors that a guard is given beside the program's standard files.
const (
	specFD    = 3
	reportsFD = 4
	aliveFD   = 5
)

// nobody stands for root inside a user namespace: it has an entry in every
// passwd file, and programs that refuse to work as root work.
const nobody = 65534

// Report is what a guard says of the program, in two lines: that it started or
// did not, and how it ended.
type Report struct {
	Error  string `json:"error,omitempty"`
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
	// Alone tells that the program left no other process behind.
	Alone bool `json:"alone,omitempty"`
}

// Guard is the process between a supervisor and the program: the init of the
// run's namespaces, or a subreaper. Should the supervisor be killed, the guard
// ends all that is below it.
type Guard struct {
	PID     int
	reports *json.Decoder
}

// StartGuarded starts a guard that starts the program with three descriptors as
// its standard files, and returns when the program has started. The guard holds
// the file alive open for as long as anything may live below it.
func StartGuarded(spec wire.Spec, mark string, files [3]*os.File, alive *os.File) (*Guard, error) {
	specIn, specOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	defer specIn.Close()
	reportsIn, reportsOut, err := os.Pipe()
	if err != nil {
		_ = specOut.Close()
		return nil, fmt.Errorf("start guard: %w", err)
	}
	namespaces := spec.Confine != nil && spec.Confine.Namespaces
	pid, err := fork([]*os.File{files[0], files[1], files[2], specIn, reportsOut, alive}, GuardCommand, mark, namespaces)
	_ = reportsOut.Close()
	if err != nil {
		_, _ = specOut.Close(), reportsIn.Close()
		return nil, fmt.Errorf("start guard: %w", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- errors.Join(json.NewEncoder(specOut).Encode(spec), specOut.Close()) }()
	guard := &Guard{PID: pid, reports: json.NewDecoder(reportsIn)}
	report, err := guard.Next()
	if err == nil && report.Error != "" {
		err = errors.New(report.Error)
	} else if err != nil {
		err = fmt.Errorf("start guard: %w", errors.Join(err, <-sent))
	}
	if err != nil {
		_, _ = unix.Kill(pid, unix.SIGKILL), reportsIn.Close()
		return nil, err
	}
	return guard, nil
}

// Next waits for the guard's next report.
func (g *Guard) Next() (Report, error) {
	var report Report
	err := g.reports.Decode(&report)
	return report, err
}

// Terminate asks the program's group to end.
func (g *Guard) Terminate() error { return unix.Kill(g.PID, unix.SIGTERM) }

// fork runs a subcommand of this binary, as the init of new namespaces where
// they are wanted.
func fork(files []*os.File, subcommand, mark string, namespaces bool) (int, error) {
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{process.MarkName + "=" + mark}, Sys: &syscall.SysProcAttr{Setsid: true}}
	for _, file := range files {
		attr.Files = append(attr.Files, file.Fd())
	}
	argv := []string{"rdev-runner", subcommand}
	if namespaces {
		uid, gid := os.Getuid(), os.Getgid()
		inside, insideGroup := uid, gid
		if uid == 0 {
			inside, insideGroup = nobody, nobody
		}
		attr.Sys.Cloneflags = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS
		attr.Sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: inside, HostID: uid, Size: 1}}
		attr.Sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: insideGroup, HostID: gid, Size: 1}}
		attr.Sys.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETPCAP} // to mount /proc and to give them all up
	}
	return syscall.ForkExec("/proc/self/exe", argv, attr)
}
