// Package workspace is what runtimes have in common: where the files of a project
// are, what its programs find in their environment, and how rdev-runner, that is
// carried out next to them, is driven.
//
// A workspace PROJECTS/SLUG has everything else of its project beside it, so
// that it holds the project's files and nothing else:
//
//	PROJECTS/.rdev/SLUG/state   what rdev-runner keeps, see package store
//	PROJECTS/.rdev/SLUG/home    HOME of the project's programs
//	PROJECTS/.rdev/SLUG/tmp     their TMPDIR
package workspace

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// Directories are those of a project beside its workspace.
type Directories struct{ State, Home, Tmp string }

// DirectoriesOf are the directories that belong to a run's workspace.
func DirectoriesOf(ref domain.RunRef) (Directories, error) {
	if !path.IsAbs(ref.Workspace) || path.Clean(ref.Workspace) == "/" {
		return Directories{}, fmt.Errorf("workspace %q is not an absolute path of a directory", ref.Workspace)
	}
	workspace := path.Clean(ref.Workspace)
	beside := path.Join(path.Dir(workspace), ".rdev", path.Base(workspace))
	return Directories{
		State: path.Join(beside, "state"), Home: domain.HomeOf(workspace), Tmp: path.Join(beside, "tmp"),
	}, nil
}

// DefaultPath is the PATH of programs where the configuration has none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environment is all that a program sees of one: the last of a name wins.
func (d Directories) Environment(searchPath string, own []string) []string {
	variables := map[string]string{
		"PATH": searchPath, "HOME": d.Home, "TMPDIR": d.Tmp,
		"LANG": "C.UTF-8", "SHELL": "/bin/sh", "USER": "rdev", "LOGNAME": "rdev",
	}
	for _, variable := range own {
		if name, value, ok := strings.Cut(variable, "="); ok {
			variables[name] = value
		}
	}
	environment := make([]string, 0, len(variables))
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		environment = append(environment, name+"="+variables[name])
	}
	return environment
}

// SystemFiles are the directories of a usual Linux system that programs may read.
func SystemFiles() []string {
	return []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/nix/store",
		"/run/systemd/resolve", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage",
	}
}
