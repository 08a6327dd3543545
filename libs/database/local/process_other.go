//go:build !linux

package local

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/orchard9/rdev/libs/lifeline"
)

// canMapRoot says that the system has user namespaces.
const canMapRoot = false

// confine has nothing to add.
func (a account) confine(*syscall.SysProcAttr) {}

// watch ends the server when we are gone.
func watch(server *os.Process) (stop func(), err error) {
	return lifeline.Tie(context.Background(), server, "QUIT")
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
