package service

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// version is set by the linker of a release, as v1.4.0:
//
//	go build -ldflags "-X github.com/orchard9/rdev/libs/service.version=v1.4.0"
var version string

// Build is what this program was built from.
type Build struct {
	Version  string `json:"version"`            // of the release, of the module, or devel
	Commit   string `json:"commit,omitempty"`   // unknown where empty
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"` // as linux/amd64
}

// Version is the version that this program says it has, wherever it says so.
func Version() string { return ReadBuild().Version }

// ReadBuild reads what the linker and the Go toolchain noted in this program.
func ReadBuild() Build {
	found := Build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "(devel)" {
		found.Version = cmp.Or(found.Version, info.Main.Version)
	}
	found.Version = cmp.Or(found.Version, "devel")
	if !ok {
		return found
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			found.Commit = setting.Value
		case "vcs.modified":
			found.Modified = setting.Value == "true"
		}
	}
	return found
}

// String is the build in one line: v1.4.0 (0123456789ab, modified) go1.26.8 linux/amd64.
func (b Build) String() string {
	text := b.Version
	if b.Commit != "" {
		text += " (" + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			text += ", modified"
		}
		text += ")"
	}
	return text + " " + b.Go + " " + b.Platform
}
