// Package process looks at the processes of the machine and ends those of a run.
package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MarkName is the environment variable that every process of a run inherits.
const MarkName = "RDEV_RUN"

// Process is a process as the kernel lists it.
type Process struct {
	PID, Parent, Group, Session int
	// Start is in clock ticks since boot: with PID it names a process for good.
	Start  uint64
	Zombie bool
}

// Table lists the processes of this PID namespace.
func Table() ([]Process, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var table []Process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if process, err := Find(pid); err == nil {
			table = append(table, process)
		}
	}
	return table, nil
}

// Find reads one process.
func Find(pid int) (Process, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Process{}, err
	}
	return parseStat(pid, string(text))
}

// parseStat reads a line of /proc/PID/stat, whose second field is a name that
// may hold spaces and parentheses.
func parseStat(pid int, text string) (Process, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("read process %d: short line", pid)
	}
	process := Process{PID: pid, Zombie: fields[0] == "Z" || fields[0] == "X"}
	var errs [4]error
	process.Parent, errs[0] = strconv.Atoi(fields[1])
	process.Group, errs[1] = strconv.Atoi(fields[2])
	process.Session, errs[2] = strconv.Atoi(fields[3])
	process.Start, errs[3] = strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	return process, nil
}

// Below returns the processes of a table that descend from one of the roots,
// without the roots.
func Below(table []Process, roots ...int) []Process {
	in := make(map[int]bool, len(roots))
	for _, root := range roots {
		in[root] = true
	}
	var below []Process
	for grown := true; grown; {
		grown = false
		for _, process := range table {
			if !in[process.PID] && in[process.Parent] {
				in[process.PID], grown = true, true
				below = append(below, process)
			}
		}
	}
	return below
}

// KillBelow kills what descends from a process now, but for the one with the PID
// spare. seen, where it is not nil, collects by PID and start what it found alive.
func KillBelow(root, spare int, seen map[Process]bool) {
	table, err := Table()
	if err != nil {
		return // callers come again
	}
	for _, p := range Below(table, root) {
		if p.Zombie || p.PID == spare {
			continue
		}
		if seen != nil {
			seen[Process{PID: p.PID, Start: p.Start}] = true
		}
		_ = Kill(p)
	}
}

// Marked tells whether a process carries a mark in the environment that it was
// started with.
func Marked(pid int, mark string) bool {
	file, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 8<<20))
	if err != nil {
		return false
	}
	want := []byte(MarkName + "=" + mark)
	for variable := range bytes.SplitSeq(text, []byte{0}) {
		if bytes.Equal(variable, want) {
			return true
		}
	}
	return false
}

// Kill ends a process, and no other that may have its PID by now.
func Kill(process Process) error {
	fd, err := unix.PidfdOpen(process.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return ignoreGone(unix.Kill(process.PID, unix.SIGKILL))
	}
	defer unix.Close(fd)
	if now, err := Find(process.PID); err != nil || now.Start != process.Start {
		return nil
	}
	return ignoreGone(unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0))
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Where names the boot and the PID namespace that PIDs belong to here.
func Where() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", fmt.Errorf("read PID namespace: %w", err)
	}
	return strings.TrimSpace(string(boot)) + " " + namespace, nil
}
