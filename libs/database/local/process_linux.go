package local

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// canMapRoot says that the system has user namespaces.
const canMapRoot = true

// unprivileged is the user that root becomes inside the namespace; it has an
// entry in the password file of every distribution, which the server wants.
const unprivileged = 65534

// confine makes the kernel end the child with us, also when we are killed, and
// maps root away.
func (a account) confine(attributes *syscall.SysProcAttr) {
	attributes.Pdeathsig = syscall.SIGQUIT
	if a.namespace {
		attributes.Cloneflags = syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: unprivileged, HostID: a.uid, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: unprivileged, HostID: a.gid, Size: 1}}
	}
}

// watch has nothing to do: the kernel does it.
func watch(*os.Process) (stop func(), err error) { return func() {}, nil }

// serving lists the processes of a server of the cluster in data: all of them
// work inside that directory.
func serving(data string) []int {
	var pids []int
	for _, dir := range glob("/proc/[0-9]*") {
		// Processes of others cannot be read, and those that just ended are gone.
		cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
		if err != nil || cwd != data {
			continue
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil || string(name) != "postgres\n" {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
