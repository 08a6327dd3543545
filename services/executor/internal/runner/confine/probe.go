package confine

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// NothingCommand is the subcommand of a runner that ends at once.
const NothingCommand = "nothing"

// Probe finds what the kernel offers, by trying.
func Probe() wire.Probe {
	probe := wire.Probe{LandlockABI: landlockABI(), Root: os.Getuid() == 0}
	pid, err := fork(nil, NothingCommand, "probe", true)
	if err != nil {
		probe.Why = err.Error()
		return probe
	}
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	probe.Namespaces = err == nil && status.ExitStatus() == 0
	return probe
}
