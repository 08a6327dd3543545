package local

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// minimumMajor is the oldest Redis whose users can be kept to a prefix of channels, and
// asked what they may.
const minimumMajor = 7

// ErrMissing says that the machine has no server, or an old one only, and what to do.
var ErrMissing = errors.New("no Redis of version 7 or later on this machine (on Debian or Ubuntu: apt install redis-server; macOS: brew install redis)")

// Program is a server's program.
type Program struct {
	Path string
	Env  []string // where it finds its libraries; nothing for one of the machine's
}

// Find is the server that is on the PATH, or ErrMissing.
func Find(ctx context.Context) (Program, error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if p := (Program{Path: path}); p.Check(ctx) == nil {
			return p, nil
		}
	}
	return Program{}, ErrMissing
}

// versionPattern reads "Redis server v=7.0.15 sha=…".
var versionPattern = regexp.MustCompile(`^(?:Redis|Valkey) server v=(\d+)\.`)

// Check tells why a program cannot be used.
func (p Program) Check(ctx context.Context) error {
	command := exec.CommandContext(ctx, p.Path, "--version")
	command.Env = p.Env
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", p.Path, err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return fmt.Errorf("%s does not say its version: %.100q", p.Path, out)
	}
	if major, err := strconv.Atoi(string(match[1])); err != nil || major < minimumMajor {
		return fmt.Errorf("%s is of version %s: %d is needed", p.Path, match[1], minimumMajor)
	}
	return nil
}
