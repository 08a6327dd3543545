// Package components finds what a one-node cluster runs on: the Kubernetes
// binaries and CoreDNS, built once from libs/tools, and etcd, containerd, runc,
// the CNI plugins and nft, from this machine or from Debian. All that it makes
// lies in one cache directory; the system is left as it is.
package components

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Components are absolute paths of programs.
type Components struct {
	APIServer         string
	ControllerManager string
	Scheduler         string
	Kubelet           string
	Proxy             string
	Kubectl           string

	Etcd       string
	Containerd string
	Ctr        string // containerd's own client
	Runc       string
	Nft        string
	CNI        string // the directory of the plugins

	// Env is the environment in which all of them run: it has the PATH on
	// which containerd finds its shim and kube-proxy finds nft.
	Env []string
}

// Ensure returns the components, and makes first what is missing in dir, the
// cache. root is the root of this repository. The first build takes minutes.
func Ensure(ctx context.Context, root, dir string, log *slog.Logger) (*Components, error) {
	var c Components
	if err := c.machine(ctx, dir, log); err != nil {
		return nil, err
	}
	if err := c.kubernetes(ctx, root, dir, log); err != nil {
		return nil, err
	}
	return &c, nil
}

// run runs a command in dir with additional environment, and returns what it
// wrote to its standard output. The error has the end of what it wrote to its
// standard error.
func run(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.Join(lines[max(0, len(lines)-10):], "\n"))
	}
	return stdout.String(), nil
}
