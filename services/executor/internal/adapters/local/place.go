package local

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// directories are those of a project beside its workspace.
type directories struct{ state, home, tmp string }

func directoriesOf(ref domain.RunRef) (directories, error) {
	if !filepath.IsAbs(ref.Workspace) || filepath.Clean(ref.Workspace) == "/" {
		return directories{}, fmt.Errorf("workspace %q is not an absolute path of a directory", ref.Workspace)
	}
	workspace := filepath.Clean(ref.Workspace)
	beside := filepath.Join(filepath.Dir(workspace), ".rdev", filepath.Base(workspace))
	return directories{
		state: filepath.Join(beside, "state"), home: domain.HomeOf(workspace), tmp: filepath.Join(beside, "tmp"),
	}, nil
}

// environment is all that a program sees of one: the last of a name wins.
func (r *Runtime) environment(dirs directories, own []string) []string {
	variables := map[string]string{
		"PATH": r.config.Path, "HOME": dirs.home, "TMPDIR": dirs.tmp,
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

// publicEtc is what programs may read of /etc where they own its files: what is
// left out holds passwords and keys.
func publicEtc() []string {
	names := []string{
		"passwd", "group", "hosts", "host.conf", "hostname", "resolv.conf", "nsswitch.conf", "gai.conf", "protocols",
		"services", "networks", "localtime", "timezone", "locale.alias", "os-release", "debian_version", "alpine-release",
		"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld-musl-x86_64.path", "alternatives", "gitconfig", "gitattributes",
		"ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "ca-certificates", "pki/tls/certs", "pki/ca-trust", "mime.types",
		"profile", "profile.d", "bash.bashrc", "inputrc", "terminfo", "fonts", "magic", "crypto-policies",
		"perl", "python3", "python3.11", "python3.13", "npmrc", "java", "maven", "gradle",
	}
	for i, name := range names {
		names[i] = "/etc/" + name
	}
	return names
}

// confinement is what a program is kept to: its own files, and to read those of
// the system.
func (r *Runtime) confinement(workspace string, dirs directories) *wire.Confinement {
	if r.config.Unconfined {
		return nil
	}
	read := []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/proc", "/nix/store",
		"/run/systemd/resolve", "/sys/fs/cgroup", "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage",
	}
	if r.probe.Root {
		read = append(read, publicEtc()...)
	} else {
		read = append(read, "/etc")
	}
	read = append(read, filepath.SplitList(r.config.Path)...)
	read = append(read, r.config.Readable...)
	return &wire.Confinement{
		Namespaces: r.probe.Namespaces,
		Files:      r.probe.LandlockABI > 0,
		Read:       slices.DeleteFunc(read, func(dir string) bool { return !filepath.IsAbs(dir) }),
		Write:      []string{workspace, dirs.home, dirs.tmp},
	}
}
