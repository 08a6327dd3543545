package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// InitCommand is the subcommand under which the runner calls RunInit.
const InitCommand = "init"

// nobody stands for root inside a user namespace: it has an entry in every
// passwd file, and programs that refuse to work as root work.
const nobody = 65534

// Report is what the init of a namespace says of the program, in two lines: that
// it started or did not, and how it ended.
type Report struct {
	Error  string `json:"error,omitempty"`
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
}

// Init is the init process of a run's namespaces.
type Init struct {
	PID     int
	reports *json.Decoder
	pipe    *os.File
}

// StartInNamespaces starts a program like Start, below an init process in user
// and PID namespaces of its own, and returns when it has started. When the init
// process dies, all in the namespace dies with it.
func StartInNamespaces(spec wire.Spec, files [3]*os.File) (*Init, error) {
	specIn, specOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer specIn.Close()
	reportIn, reportOut, err := os.Pipe()
	if err != nil {
		_ = specOut.Close()
		return nil, err
	}
	init, err := startInit([]*os.File{files[0], files[1], files[2], specIn, reportOut}, InitCommand)
	_ = reportOut.Close()
	if err != nil {
		_ = specOut.Close()
		_ = reportIn.Close()
		return nil, err
	}
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(json.NewEncoder(specOut).Encode(spec), specOut.Close())
	}()
	i := &Init{PID: init, reports: json.NewDecoder(reportIn), pipe: reportIn}
	report, err := i.Next()
	if err == nil && report.Error != "" {
		err = errors.New(report.Error)
	} else if err != nil {
		err = fmt.Errorf("start init of namespaces: %w", errors.Join(err, <-sent))
	}
	if err != nil {
		_ = unix.Kill(init, unix.SIGKILL)
		return nil, err
	}
	return i, nil
}

// Next waits for the init's next report.
func (i *Init) Next() (Report, error) {
	var report Report
	err := i.reports.Decode(&report)
	return report, err
}

// startInit runs a subcommand of this binary as the init of new namespaces.
func startInit(files []*os.File, subcommand string) (int, error) {
	uid, gid := os.Getuid(), os.Getgid()
	inside, insideGroup := uid, gid
	if uid == 0 {
		inside, insideGroup = nobody, nobody
	}
	attr := &syscall.ProcAttr{Dir: "/", Env: []string{}, Sys: &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: inside, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: insideGroup, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		Setsid:      true,
	}}
	for _, file := range files {
		attr.Files = append(attr.Files, file.Fd())
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"rdev-runner", subcommand}, attr)
	if err != nil {
		return 0, fmt.Errorf("make namespaces: %w", err)
	}
	return pid, nil
}

// RunInit is the init process. It starts the program that it is told of, reports
// how it ends, passes SIGTERM on to its group, and reaps what is left to it
// until there is nothing.
func RunInit() error {
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return err
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	specIn, reportOut := os.NewFile(3, "spec"), os.NewFile(4, "reports")
	reports := json.NewEncoder(reportOut)
	var spec wire.Spec
	if err := json.NewDecoder(specIn).Decode(&spec); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, specIn); err != nil {
		return err
	}
	_ = specIn.Close()
	mountProc()
	pid, err := Start(spec, [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		return reports.Encode(Report{Error: err.Error()})
	}
	if err := errors.Join(detach(), reports.Encode(Report{})); err != nil {
		return err
	}
	go func() {
		for range terminate {
			_ = unix.Kill(-pid, unix.SIGTERM)
		}
	}()
	for {
		var status unix.WaitStatus
		child, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil // nothing is left
		case child == pid:
			// The read end may be gone with the supervisor; this process follows it.
			_ = reports.Encode(Report{Code: Code(status), Signal: Signal(status)})
		}
	}
}

// Code is the exit code of a program, -1 where a signal ended it.
func Code(status unix.WaitStatus) int { return status.ExitStatus() }

// Signal is the name of the signal that ended a program, "" where it exited.
func Signal(status unix.WaitStatus) string {
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
