package local

import (
	"os"
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

// serves tells whether the process is the server of the cluster in data: that
// one works inside its data directory.
func serves(pid int, data string) bool {
	dir, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	return err == nil && dir == data
}
