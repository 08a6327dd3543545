// Package image makes the images of deployments/docker for tests, on a machine
// that has neither a container engine nor a registry: as docker-archives, which
// "ctr -n k8s.io images import" takes. Needed are Go, and for a claudebox Debian
// with its package mirror within reach, once.
//
// The ingredients are those of the Dockerfiles: programs built from this tree,
// the list of Debian packages, agents.lock; how a container is started is read
// from the Dockerfile itself. Unlike there, the packages are those of this
// machine's Debian, and no script of theirs runs. Layers are kept by what they
// are made of, and are the same bytes every time: a new rdev-runner makes one new
// layer of 3 MB.
package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/orchard9/rdev/libs/cache"
)

// Repository is the registry of the images' names. No such registry exists, so
// that a cluster that lacks an image says so instead of fetching another.
const Repository = "rdev.test"

// Options say where the ingredients are and where images are kept. The zero
// value is right for a test of this repository.
type Options struct {
	Root  string // of the repository. Empty: the directory with go.work at or above the working directory
	Cache string // Empty: rdev in the user's cache, ${XDG_CACHE_HOME:-~/.cache}
	Agent string // of a claudebox: claude-code, codex or opencode. Empty: none
}

// Image is an image on disk.
type Image struct {
	Name    string // rdev.test/gateway:dev; a test's pod asks for it with imagePullPolicy Never
	Archive string // path of the docker-archive; kept for at least an hour
	ID      string // sha256:… of its configuration, the ID that a pod's status reports
}

// Service makes the image of a service: gateway, provisioner, executor, audit
// or notifier.
func Service(ctx context.Context, o Options, name string) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	module := filepath.Join("services", name)
	if !filepath.IsLocal(name) || name != filepath.Base(name) || !cache.Exists(filepath.Join(o.Root, module, "cmd", name)) {
		return Image{}, fmt.Errorf("image of %q: there is no such service", name)
	}
	s := o.store()
	trusted, err := s.machineTrust(ctx)
	if err != nil {
		return Image{}, err
	}
	program, err := s.binary(ctx, o.Root, module, filepath.Join("cmd", name), "service")
	if err != nil {
		return Image{}, err
	}
	run, err := o.process("Dockerfile.service", map[string]string{"SERVICE": name})
	if err != nil {
		return Image{}, err
	}
	return s.archive(ctx, Repository+"/"+name+":dev", run, []layer{trusted, program})
}

// Program makes the image of one static program and nothing else but a /tmp, for
// what only tests need: dir is its package in the module, both slash-separated,
// and its last part the name of program and image.
func Program(ctx context.Context, o Options, module, dir string) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	s, name := o.store(), path.Base(dir)
	program, err := s.binary(ctx, o.Root, module, dir, name)
	if err != nil {
		return Image{}, err
	}
	return s.alone(ctx, name, program)
}

// Built is Program for a program that is built already, given by its path.
func Built(ctx context.Context, o Options, program string) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	s, name := o.store(), filepath.Base(program)
	content, err := s.built(ctx, program, name)
	if err != nil {
		return Image{}, err
	}
	return s.alone(ctx, name, content)
}

// alone is the image of a layer with one program of that name.
func (s store) alone(ctx context.Context, name string, program layer) (Image, error) {
	tmp, err := s.layer(ctx, "a directory for temporary files", "tmp v1", func(_ context.Context, t *tree) error {
		t.dir("tmp", fs.ModeSticky|0o777, 0)
		return nil
	})
	if err != nil {
		return Image{}, err
	}
	return s.archive(ctx, Repository+"/"+name+":dev", process{Entrypoint: []string{"/" + name}}, []layer{tmp, program})
}

// Claudebox makes the image that the pods of projects run, with o.Agent in it.
func Claudebox(ctx context.Context, o Options) (Image, error) {
	o, err := o.complete()
	if err != nil {
		return Image{}, err
	}
	s, tag := o.store(), "dev"
	packages, err := os.ReadFile(filepath.Join(o.Root, dockerDir, "packages"))
	if err != nil {
		return Image{}, fmt.Errorf("read the list of packages: %w", err)
	}
	base, err := s.debian(ctx, strings.Fields(string(packages)))
	if err != nil {
		return Image{}, err
	}
	home, err := s.layer(ctx, "user and workspace", "user and workspace v1", userAndWorkspace)
	if err != nil {
		return Image{}, err
	}
	layers := []layer{base, home}
	if o.Agent != "" {
		agent, err := o.agent(ctx, s)
		if err != nil {
			return Image{}, err
		}
		layers, tag = append(layers, agent), "dev-"+o.Agent
	}
	runner, err := s.binary(ctx, o.Root, "services/executor", "cmd/rdev-runner", "usr/local/bin/rdev-runner")
	if err != nil {
		return Image{}, err
	}
	run, err := o.process("Dockerfile.claudebox", map[string]string{"AGENT": o.Agent})
	if err != nil {
		return Image{}, err
	}
	return s.archive(ctx, Repository+"/claudebox:"+tag, run, append(layers, runner))
}

// dockerDir holds the Dockerfiles and their ingredients.
const dockerDir = "deployments/docker"

func (o Options) store() store { return store{dir: filepath.Join(o.Cache, "images")} }

func (o Options) process(dockerfile string, args map[string]string) (process, error) {
	args["VERSION"] = "dev"
	return readProcess(filepath.Join(o.Root, dockerDir, dockerfile), args)
}

func (o Options) agent(ctx context.Context, s store) (layer, error) {
	if o.Agent == "gemini" {
		return layer{}, errors.New("gemini needs a newer Node.js than Debian 12 has: build its image with the Dockerfile")
	}
	p, err := readPin(filepath.Join(o.Root, dockerDir, "agents.lock"), o.Agent, runtime.GOARCH)
	if err != nil {
		return layer{}, err
	}
	return s.agent(ctx, o.Root, filepath.Join(o.Cache, "agents"), p)
}

// complete fills in what is empty.
func (o Options) complete() (Options, error) {
	var err error
	if o.Cache == "" {
		if o.Cache, err = cache.Dir(); err != nil {
			return o, err
		}
	}
	if o.Root == "" {
		o.Root, err = cache.Root()
	}
	return o, err
}
