// Package local runs programs on this machine, confined as far as its kernel
// allows. It carries out rdev-runner next to the workspaces, so that a run
// outlives the executor.
package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/orchard9/rdev/services/executor/internal/adapters/workspace"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/client"
	"github.com/orchard9/rdev/services/executor/internal/runner/session"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Config says how to run programs on this machine.
type Config struct {
	// Runner is the path of the rdev-runner binary.
	Runner string
	// Path is the PATH of programs, workspace.DefaultPath where empty. They may
	// read its directories.
	Path string
	// Readable are more directories that a confined program may read.
	Readable []string
	// SpoolLimit is the most output in bytes that is kept of a run, 1 GiB where 0.
	SpoolLimit int64
	// AllowUnconfined permits programs that are not confined to their files.
	AllowUnconfined bool
	// Unconfined leaves programs unconfined even where the kernel could do better.
	// It needs AllowUnconfined.
	Unconfined bool
}

// Runtime runs programs on this machine.
type Runtime struct {
	workspace.Runner

	config Config
	probe  wire.Probe
}

var _ app.Runtime = (*Runtime)(nil)

// New makes a runtime and finds out how far it can confine programs. Its runner
// ends with ctx, and the runs do not.
func New(ctx context.Context, config Config) (*Runtime, error) {
	if config.Path == "" {
		config.Path = workspace.DefaultPath
	}
	if !filepath.IsAbs(config.Runner) {
		return nil, fmt.Errorf("local runtime: path of rdev-runner %q is not absolute", config.Runner)
	}
	if config.Unconfined && !config.AllowUnconfined {
		return nil, errors.New("local runtime: unconfined, but that is not allowed")
	}
	r := &Runtime{config: config}
	runner := session.New(r.serve)
	context.AfterFunc(ctx, runner.Close)
	r.Exec = func(domain.RunRef) client.Exec { return runner.Exec }
	if config.Unconfined {
		return r, nil
	}
	probe, err := client.New(runner.Exec, "").Probe(ctx)
	if err != nil {
		return nil, fmt.Errorf("local runtime: %w", err)
	}
	r.probe = probe
	return r, nil
}

// Start implements app.Runtime. The working directory must lie in the workspace,
// and symbolic links may not lead out of it.
func (r *Runtime) Start(ctx context.Context, run domain.RunSpec) error {
	if r.probe.LandlockABI == 0 && !r.config.AllowUnconfined {
		return &domain.RefusedError{
			Reason: "this machine cannot confine a program to its files; EXECUTOR_ALLOW_UNCONFINED=true runs it all the same",
		}
	}
	dirs, err := workspace.DirectoriesOf(run.RunRef)
	if err != nil {
		return fmt.Errorf("start run %s: %w", run.ID, err)
	}
	port, err := portOf(run.RunRef)
	if err != nil {
		return err
	}
	c, err := r.Client(run.RunRef)
	if err != nil {
		return err
	}
	return c.Start(ctx, run.RunRef, wire.Spec{
		Argv: run.Argv, Workspace: run.Workspace, Dir: run.Dir, Env: dirs.Environment(r.config.Path, append(port, run.Env...)),
		Stdin: run.Stdin, KeepStdin: run.KeepStdin, Make: r.made(run, dirs), Empty: r.Private(run.RunRef, dirs),
		SpoolLimit: r.config.SpoolLimit, Confine: r.confinement(run.Workspace, dirs),
	})
}

// made are the directories that a run needs. The workspace of a project is there, or
// it was deleted; that of work is the executor's own.
func (r *Runtime) made(run domain.RunSpec, dirs workspace.Directories) []string {
	if run.Fresh {
		return []string{run.Workspace, dirs.Home, dirs.Tmp}
	}
	return []string{dirs.Home, dirs.Tmp}
}
