package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// nodeVersion is the Node.js that npm is asked for where the machine's is too old.
const nodeVersion = "24.22.3"

// nodePatience bounds the installation of Node.js, its download included.
const nodePatience = 5 * time.Minute

// nodePath is looked for once.
var nodePath = sync.OnceValues(findNode)

// NodePath is a PATH on which Node.js is 22.12 or later, as the templates need it, and npm:
// that of the machine, or else one with a Node.js before it that npm has installed once
// into the cache.
func NodePath(t testing.TB) string {
	t.Helper()
	path, err := nodePath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// NPM is the environment for npm: NodePath, a cache that stays, and nobody who is told of
// anything.
func NPM(t testing.TB) []string {
	t.Helper()
	env, err := npmEnv()
	if err != nil {
		t.Fatal(err)
	}
	return append(env, "PATH="+NodePath(t))
}

func npmEnv() ([]string, error) {
	dir, err := cache.Dir()
	return []string{
		"npm_config_cache=" + filepath.Join(dir, "npm"), "npm_config_prefer_offline=true", "npm_config_audit=false",
		"ASTRO_TELEMETRY_DISABLED=1", "NO_COLOR=1", "CI=1",
	}, err
}

func findNode() (path string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), nodePatience)
	defer cancel()
	const enough = `const [a, b] = process.versions.node.split('.'); process.exit(a > 22 || (a == 22 && b >= 12) ? 0 : 1)`
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errors.New("npm is missing: apt-get install nodejs npm")
	}
	if exec.CommandContext(ctx, "node", "-e", enough).Run() == nil {
		return os.Getenv("PATH"), nil
	}
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "node-"+nodeVersion)
	return filepath.Join(dir, "bin") + ":" + os.Getenv("PATH"), cache.Fill(ctx, dir, func(partial string) error { return installNode(ctx, partial) })
}

// installNode has npm install Node.js into a directory that is empty, as bin/node.
func installNode(ctx context.Context, dir string) error {
	cpu := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS != "linux" || cpu == "" {
		return errors.New("the Node.js is older than 22.12, or missing: install a newer one from https://nodejs.org")
	}
	env, err := npmEnv()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-euc", `npm install --prefix . --ignore-scripts --no-save --no-fund --loglevel=error "$NODE_PACKAGE@$NODE_VERSION"
		mkdir bin; mv "node_modules/$NODE_PACKAGE/bin/node" bin/; rm -rf node_modules`)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), env...), "NODE_PACKAGE=node-linux-"+cpu, "NODE_VERSION="+nodeVersion)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install Node.js %s: %w\n%s", nodeVersion, err, out)
	}
	return nil
}
