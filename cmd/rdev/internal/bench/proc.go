package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on every architecture of Linux that Go knows.
const ticksPerSecond = 100

// stat is what /proc tells of a process.
type stat struct {
	parent int
	cpu    float64 // seconds, of its reaped children too
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name in parentheses may contain anything.
	_, rest, ok := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 15 {
		return stat{}, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var s stat
	s.parent, err = strconv.Atoi(fields[1])
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, tickErr := strconv.ParseFloat(field, 64)
		err = errors.Join(err, tickErr)
		s.cpu += ticks / ticksPerSecond
	}
	return s, err
}

// tree is a process and all that descend from it, with the CPU seconds that
// they and those they have reaped took.
func tree(root int) (pids []int, cpu float64) {
	all := map[int]stat{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid, _ := strconv.Atoi(filepath.Base(name))
		if s, err := readStat(pid); err == nil { // else it is gone
			all[pid] = s
		}
	}
	for pid, s := range all {
		for at := pid; at != 0; at = all[at].parent {
			if at == root {
				pids, cpu = append(pids, pid), cpu+s.cpu
				break
			}
		}
	}
	return pids, cpu
}

func treeCPU(roots ...int) (total float64) {
	for _, root := range roots {
		_, cpu := tree(root)
		total += cpu
	}
	return total
}

// memory reads a field of /proc/PID/status in bytes, as VmRSS or VmHWM.
func memory(pid int, field string) (float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib * 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// errNoStrace is returned where fsyncs cannot be counted.
var errNoStrace = errors.New("strace is not installed, or may not trace")

// countSyncs counts the calls that wait for the disk which a set of processes
// and their children make while work runs.
func countSyncs(ctx context.Context, dir string, pids []int, work func() error) (float64, error) {
	file := filepath.Join(dir, "strace")
	args := []string{"-f", "-q", "-e", "trace=fsync,fdatasync,sync_file_range", "-e", "signal=none", "-o", file}
	for _, pid := range pids {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	cmd := exec.CommandContext(ctx, "strace", args...)
	if err := cmd.Start(); err != nil {
		return 0, errNoStrace
	}
	attached := func() bool {
		for _, pid := range pids {
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if len(status) > 0 && strings.Contains(string(status), "TracerPid:\t0\n") {
				return false
			}
		}
		return true
	}
	for deadline := time.Now().Add(5 * time.Second); !attached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return 0, errors.Join(errNoStrace, cmd.Process.Kill(), ignore(cmd.Wait()))
		}
	}
	workErr := work()
	stopErr := cmd.Process.Signal(syscall.SIGINT)
	// It ends by the signal, or never: then it is killed, which sets all free too.
	kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	kill.Stop()
	text, err := os.ReadFile(file)
	// "resumed" is the second half of a call that was counted.
	syncs := strings.Count(string(text), "sync(") + strings.Count(string(text), "sync_file_range(")
	return float64(syncs), errors.Join(workErr, stopErr, err)
}

func ignore(error) error { return nil }
