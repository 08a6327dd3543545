package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/orchard9/rdev/libs/testcluster/internal/cache"
)

// natsServer is the package of the NATS server's program.
const natsServer = "github.com/nats-io/nats-server/v2"

// NATS makes an image with the NATS server of the version that this repository's
// libs have, on the PATH as in the public image.
func NATS(ctx context.Context, o Options) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	s := o.store()
	program, err := s.module(ctx, filepath.Join(o.Root, "libs"), natsServer, "usr/local/bin/nats-server")
	if err != nil {
		return Image{}, err
	}
	run := process{Entrypoint: []string{"nats-server"}, Env: []string{"PATH=/usr/local/bin"}}
	return s.archive(ctx, Repository+"/nats:dev", run, []layer{program})
}

// module is the layer with a program of another module, at the version that the
// module in dir has of it.
func (s store) module(ctx context.Context, dir, pkg, target string) (layer, error) {
	program := filepath.Join(s.dir, "bin", filepath.Base(target))
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return layer{}, fmt.Errorf("make the cache: %w", err)
	}
	lock, err := cache.Lock(ctx, program+".lock")
	if err != nil {
		return layer{}, err
	}
	defer func() { _ = lock.Close() }()
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", program, pkg)
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux")
	if err := perform(build); err != nil {
		return layer{}, fmt.Errorf("build %s: %w", pkg, err)
	}
	return s.built(ctx, program, target)
}
