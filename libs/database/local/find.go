package local

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// minimumMajor is the oldest PostgreSQL with which rdev is used.
const minimumMajor = 14

// Source says where an installation comes from.
type Source string

// The places in which Find looks, in the order of preference.
const (
	SourceMachine  Source = "machine"  // installed by the system's package manager
	SourceDownload Source = "download" // fetched by rdev before and cached
)

// Installation is a set of server binaries.
type Installation struct {
	Bin     string // directory of postgres and initdb
	Version string // such as "15.14"
	Major   int    // such as 15
	Source  Source
}

// String is one line for people.
func (i Installation) String() string {
	return fmt.Sprintf("PostgreSQL %s (%s, %s)", i.Version, i.Source, i.Bin)
}

// Find lists the usable server binaries, in the order in which Start prefers
// them: those of the machine, newest first, then those downloaded into cache
// (Options.Cache; empty looks at the machine only).
func Find(ctx context.Context, cache string) []Installation {
	found := onMachine(ctx)
	if cache != "" {
		found = append(found, downloaded(ctx, cache)...)
	}
	return found
}

func onMachine(ctx context.Context) []Installation {
	return inspect(ctx, SourceMachine, machineDirs(ctx))
}

func downloaded(ctx context.Context, cache string) []Installation {
	return inspect(ctx, SourceDownload, glob(filepath.Join(cache, "postgres", "*", "bin")))
}

func machineDirs(ctx context.Context) []string {
	dirs := glob(
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // Red Hat with the PostgreSQL repository
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	)
	if len(dirs) > 0 {
		return dirs
	}
	if tool, err := exec.LookPath("pg_config"); err == nil {
		if out, err := exec.CommandContext(ctx, tool, "--bindir").Output(); err == nil {
			dirs = append(dirs, string(bytes.TrimSpace(out)))
		}
	}
	if server, err := exec.LookPath("postgres"); err == nil {
		// The real place, because the server finds its files relative to it.
		if server, err = filepath.EvalSymlinks(server); err == nil {
			dirs = append(dirs, filepath.Dir(server))
		}
	}
	return dirs
}

func glob(patterns ...string) []string {
	var all []string
	for _, pattern := range patterns {
		// The only error is a malformed pattern.
		matches, _ := filepath.Glob(pattern)
		all = append(all, matches...)
	}
	return all
}

func inspect(ctx context.Context, source Source, dirs []string) []Installation {
	var found []Installation
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if installation, ok := identify(ctx, dir, source); ok {
			found = append(found, installation)
		}
	}
	slices.SortStableFunc(found, func(a, b Installation) int { return cmp.Compare(b.Major, a.Major) })
	return found
}

// versionPattern reads the answer of `initdb --version`.
var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[^\s]*)`)

// identify asks the binaries in dir for their version. It asks initdb, which
// answers in half the time of the server, and is always as old as that.
func identify(ctx context.Context, dir string, source Source) (Installation, bool) {
	if info, err := os.Stat(filepath.Join(dir, "postgres")); err != nil || info.IsDir() {
		return Installation{}, false
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "initdb"), "--version").Output()
	if err != nil {
		return Installation{}, false
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return Installation{}, false
	}
	major, err := strconv.Atoi(string(match[2]))
	if err != nil || major < minimumMajor {
		return Installation{}, false
	}
	return Installation{Bin: dir, Version: string(match[1]), Major: major, Source: source}, true
}
