package local

import "fmt"

// Level says in words how far programs are confined, aspect by aspect.
type Level struct {
	Files      string
	Processes  string
	Privileges string
	Network    string
	Memory     string
}

// String is the level in one line.
func (l Level) String() string {
	return fmt.Sprintf("files: %s; processes: %s; privileges: %s; network: %s; memory: %s",
		l.Files, l.Processes, l.Privileges, l.Network, l.Memory)
}

// Level tells how far this runtime confines programs. It is no virtual machine
// in any case: the kernel is shared.
func (r *Runtime) Level() Level {
	level := Level{
		Files: "not confined", Processes: "own session, swept at the end", Privileges: "those of rdev",
		Network: "open", Memory: "unlimited",
	}
	if r.config.Unconfined {
		return level
	}
	if r.probe.LandlockABI > 0 {
		level.Files = fmt.Sprintf("confined (Landlock ABI %d)", r.probe.LandlockABI)
	}
	level.Privileges = "those of rdev's user, no new ones"
	switch {
	case r.probe.Namespaces:
		level.Processes, level.Privileges = "own PID namespace", "none over the machine (user namespace)"
	case r.probe.Root:
		level.Privileges = "those of root as the owner of files, no capabilities"
	}
	return level
}
