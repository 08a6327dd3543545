package components

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/cache"
)

// kubernetes builds the Kubernetes binaries, once for a go.mod and go.sum of
// libs/tools/kubernetes and a Go version.
func (c *Components) kubernetes(ctx context.Context, root, into string, log *slog.Logger) error {
	module := filepath.Join(root, "libs/tools/kubernetes")
	key, err := buildKey(ctx, module, "go.mod", "go.sum")
	if err != nil {
		return err
	}
	dir := filepath.Join(into, key)
	programs := []struct {
		name string
		path *string
	}{
		{"kube-apiserver", &c.APIServer},
		{"kube-controller-manager", &c.ControllerManager},
		{"kube-scheduler", &c.Scheduler},
		{"kubelet", &c.Kubelet},
		{"kube-proxy", &c.Proxy},
		{"kubectl", &c.Kubectl},
	}
	var packages []string
	for _, p := range programs {
		*p.path = filepath.Join(dir, p.name)
		packages = append(packages, "k8s.io/kubernetes/cmd/"+p.name)
	}
	return cache.Fill(ctx, dir, func(partial string) error {
		start := time.Now()
		log.InfoContext(ctx, "building Kubernetes, once (about eight minutes on two cores)", "into", dir)
		if err := buildKubernetes(ctx, module, partial, packages); err != nil {
			return err
		}
		log.InfoContext(ctx, "Kubernetes is built", "took", time.Since(start).Round(time.Second).String())
		return nil
	})
}

// buildKey names a build: the files of the module that it is made of, hashed, and
// the Go version.
func buildKey(ctx context.Context, module string, files ...string) (string, error) {
	sum := sha256.New()
	for _, name := range files {
		content, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", fmt.Errorf("read what a build is made of: %w", err)
		}
		sum.Write(content)
	}
	version, err := run(ctx, module, nil, "go", "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x-%s", sum.Sum(nil)[:8], strings.TrimSpace(version)), nil
}

// buildKubernetes builds packages in one go command, so that what they share is
// compiled once, and behind what else the machine does.
func buildKubernetes(ctx context.Context, module, into string, packages []string) error {
	env := []string{"GOWORK=off", "CGO_ENABLED=0"}
	version, err := run(ctx, module, env, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return err
	}
	args := []string{"-n", "5", "go", "build", "-trimpath", "-ldflags", versionFlags(strings.TrimSpace(version)), "-o", into + "/"}
	_, err = run(ctx, module, env, "nice", append(args, packages...)...)
	return err
}

// versionFlags make the programs report their version, as the official builds
// do: without them the API server calls itself v0.0.0.
func versionFlags(version string) string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := []string{"-s", "-w"}
	for _, value := range []string{
		"gitVersion=" + version, "gitMajor=" + major, "gitMinor=" + minor,
		"gitTreeState=clean", "gitCommit=module", "buildDate=1970-01-01T00:00:00Z",
	} {
		flags = append(flags, "-X", "k8s.io/component-base/version."+value)
	}
	return strings.Join(flags, " ")
}
