// Package kube runs programs in the pods of projects and of workers. A pod is found
// by its labels, whoever made it; nothing is asked of the API server but to watch pods and
// to connect to rdev-runner in them, once for each pod that is in use.
package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/executor/internal/adapters/workspace"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/client"
	"github.com/orchard9/rdev/services/executor/internal/runner/session"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Config says where the pods of projects are, and how programs run in them.
type Config struct {
	// Cluster is how the API server is reached.
	Cluster *rest.Config
	// Namespace is where the pods are.
	Namespace string
	// Path is the PATH of programs, workspace.DefaultPath where empty.
	Path string
	// Patience is how long a run waits for its pod to be ready, 30 seconds where 0. A
	// project's pod that was replaced takes its time; a worker's is never replaced.
	Patience time.Duration
	Log      *slog.Logger
}

const defaultPatience = 30 * time.Second

// Runtime runs programs in the pods of projects and of workers.
type Runtime struct {
	workspace.Runner

	config Config
	pods   *pods
	exec   *executor
}

var _ app.Runtime = (*Runtime)(nil)

// New makes a runtime and waits until it knows the pods that there are. It
// watches them until ctx is done, and its connections end then, too.
func New(ctx context.Context, config Config) (*Runtime, error) {
	if config.Namespace == "" {
		return nil, errors.New("kube runtime: no namespace")
	}
	if config.Path == "" {
		config.Path = workspace.DefaultPath
	}
	if config.Patience == 0 {
		config.Patience = defaultPatience
	}
	set, err := kubernetes.NewForConfig(config.Cluster)
	if err != nil {
		return nil, fmt.Errorf("kube runtime: %w", err)
	}
	r := &Runtime{config: config, Runner: workspace.Runner{Shared: shared()}}
	if r.exec, err = newExecutor(ctx, config); err != nil {
		return nil, fmt.Errorf("kube runtime: %w", err)
	}
	r.Exec = func(ref domain.RunRef) client.Exec { return r.runner(placeOf(ref)) }
	if r.pods, err = watchPods(ctx, set, config.Namespace, config.Log); err != nil {
		return nil, fmt.Errorf("kube runtime: %w", err)
	}
	return r, nil
}

// runner carries out rdev-runner in the pod that a place has at the time. One of a
// project that is replaced has the same volume, and so the same runs; with that of a
// worker its runs are gone, and nothing is left to wait for.
func (r *Runtime) runner(of place) client.Exec {
	return func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
		p, err := r.pods.ready(ctx, of, r.config.Patience)
		if err != nil {
			return err
		}
		err = r.pods.session(of, p, r.exec.serve).Exec(ctx, args, stdin, stdout)
		if of.worker && !r.pods.there(of) { // whatever came of it: a connection that is closed may look like an end
			return goneError(of, "pod "+p.name+" was deleted")
		}
		if errors.Is(err, session.ErrClosed) {
			return fmt.Errorf("pod %s is gone", p.name) // the next call finds the one that replaces it
		}
		return err
	}
}

// Start implements app.Runtime. The working directory must lie in the workspace,
// and symbolic links may not lead out of it. The pod confines the program; within
// it, where its kernel can, the program is kept from what rdev-runner keeps.
func (r *Runtime) Start(ctx context.Context, run domain.RunSpec) error {
	dirs, err := workspace.DirectoriesOf(run.RunRef)
	if err != nil {
		return fmt.Errorf("start run %s: %w", run.ID, err)
	}
	c, err := r.Client(run.RunRef)
	if err != nil {
		return err
	}
	confine, err := r.confinement(ctx, run.RunRef, dirs, c)
	if err != nil {
		return fmt.Errorf("start run %s: %w", run.ID, err)
	}
	return c.Start(ctx, run.RunRef, wire.Spec{
		Argv: run.Argv, Workspace: run.Workspace, Dir: run.Dir, Env: dirs.Environment(r.config.Path, append(portOf(run.RunRef), run.Env...)),
		Stdin: run.Stdin, KeepStdin: run.KeepStdin, Make: []string{run.Workspace, dirs.Home, dirs.Tmp}, Empty: r.Private(run.RunRef, dirs),
		Confine: confine,
	})
}

// portOf is the variable that tells a program the port that the routes of its project lead
// to. To what runs on a worker none does.
func portOf(ref domain.RunRef) []string {
	if ref.Fresh {
		return nil
	}
	return []string{"PORT=" + strconv.Itoa(kube.Port)}
}

// confinement is what a program is kept to: the files of the pod but for those of
// rdev-runner. What a pod's kernel offers is asked once for each pod.
func (r *Runtime) confinement(ctx context.Context, ref domain.RunRef, dirs workspace.Directories, c *client.Client) (*wire.Confinement, error) {
	of := placeOf(ref)
	p, err := r.pods.ready(ctx, of, r.config.Patience)
	if err != nil {
		return nil, err
	}
	probe, known := r.pods.probe(of, p)
	if !known {
		if probe, err = c.Probe(ctx); err != nil {
			return nil, err
		}
		r.pods.setProbe(of, p, probe)
	}
	if probe.LandlockABI == 0 {
		return nil, nil
	}
	return &wire.Confinement{
		Files: true,
		Read:  append(workspace.SystemFiles(), "/etc", "/sys"),
		Write: append([]string{ref.Workspace, dirs.Home, dirs.Tmp}, r.Shared...),
	}, nil
}

// shared are the directories of a pod that all of its programs may write to.
func shared() []string { return []string{"/tmp", "/dev/shm"} }
