//go:build !linux

package local

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// canMapRoot says that the system has user namespaces.
const canMapRoot = false

// confine has nothing to add.
func (a account) confine(*syscall.SysProcAttr) {}

// watch ends the server when we are gone, however that happened: a shell waits
// for the end of a pipe whose other end only we hold.
func watch(server *os.Process) (stop func(), err error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	watcher := exec.Command("/bin/sh", "-c", `read -r line; kill -QUIT "$0"`, strconv.Itoa(server.Pid))
	watcher.Stdin = ours
	watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := watcher.Start(); err != nil {
		theirs.Close()
		return nil, err
	}
	return func() {
		// First the watcher, so that it never signals a process id that is free again.
		watcher.Process.Kill()
		watcher.Wait()
		theirs.Close()
	}, nil
}

// serving lists the processes of a server of the cluster in data, as far as they
// can be told: the one that was started with the directory as its argument.
func serving(data string) []int {
	out, err := exec.Command("ps", "-axo", "pid=,command=").Output()
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.Contains(command, "postgres -D "+data+" ") {
			continue
		}
		if pid, err := strconv.Atoi(number); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
