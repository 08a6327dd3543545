package local

import (
	"path/filepath"
	"slices"

	"github.com/orchard9/rdev/services/executor/internal/adapters/workspace"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

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
func (r *Runtime) confinement(files string, dirs workspace.Directories) *wire.Confinement {
	if r.config.Unconfined {
		return nil
	}
	read := workspace.SystemFiles()
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
		Write:      []string{files, dirs.Home, dirs.Tmp},
	}
}
