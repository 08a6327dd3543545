// Package local runs programs on this machine, confined as far as its kernel
// allows. It carries out rdev-runner next to the workspaces, so that a run
// outlives the executor.
//
// A workspace WORKSPACES/SLUG has everything else of its project beside it, so
// that it holds the project's files and nothing else:
//
//	WORKSPACES/.rdev/SLUG/state   what rdev-runner keeps, see package store
//	WORKSPACES/.rdev/SLUG/home    HOME of the project's programs
//	WORKSPACES/.rdev/SLUG/tmp     their TMPDIR
package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/client"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// DefaultPath is the PATH of programs where the configuration has none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Config says how to run programs on this machine.
type Config struct {
	// Runner is the path of the rdev-runner binary.
	Runner string
	// Path is the PATH of programs, DefaultPath where empty. They may read its
	// directories.
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
	config Config
	probe  wire.Probe
}

var _ app.Runtime = (*Runtime)(nil)

// New makes a runtime and finds out how far it can confine programs.
func New(ctx context.Context, config Config) (*Runtime, error) {
	if config.Path == "" {
		config.Path = DefaultPath
	}
	if !filepath.IsAbs(config.Runner) {
		return nil, fmt.Errorf("local runtime: path of rdev-runner %q is not absolute", config.Runner)
	}
	if config.Unconfined && !config.AllowUnconfined {
		return nil, errors.New("local runtime: unconfined, but that is not allowed")
	}
	r := &Runtime{config: config}
	if config.Unconfined {
		return r, nil
	}
	probe, err := client.New(r.exec, "").Probe(ctx)
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
	dirs, err := directoriesOf(run.RunRef)
	if err != nil {
		return fmt.Errorf("start run %s: %w", run.ID, err)
	}
	for _, dir := range []string{dirs.home, dirs.tmp} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("start run %s: %w", run.ID, err)
		}
	}
	return client.New(r.exec, dirs.state).Start(ctx, run.RunRef, wire.Spec{
		Argv: run.Argv, Workspace: run.Workspace, Dir: run.Dir, Env: r.environment(dirs, run.Env),
		Stdin: run.Stdin, KeepStdin: run.KeepStdin,
		SpoolLimit: r.config.SpoolLimit, Confine: r.confinement(run.Workspace, dirs),
	})
}

// Adopt implements app.Runtime.
func (r *Runtime) Adopt(ctx context.Context, ref domain.RunRef) error {
	c, err := r.client(ref)
	if err != nil {
		return err
	}
	return c.Adopt(ctx, ref)
}

// Attach implements app.Runtime.
func (r *Runtime) Attach(ctx context.Context, ref domain.RunRef, from int64, emit func(domain.Frame) error) (domain.Exit, error) {
	c, err := r.client(ref)
	if err != nil {
		return domain.Exit{}, err
	}
	return c.Attach(ctx, ref, from, emit)
}

// Input implements app.Runtime.
func (r *Runtime) Input(ctx context.Context, ref domain.RunRef, data []byte, closeAfter bool) error {
	c, err := r.client(ref)
	if err != nil {
		return err
	}
	return c.Input(ctx, ref, data, closeAfter)
}

// Cancel implements app.Runtime.
func (r *Runtime) Cancel(ctx context.Context, ref domain.RunRef, grace time.Duration) error {
	c, err := r.client(ref)
	if err != nil {
		return err
	}
	return c.Cancel(ctx, ref, grace)
}

// List implements app.Runtime.
func (r *Runtime) List(ctx context.Context, project contract.Project) ([]domain.RunRef, error) {
	ref := domain.RunRef{Project: project.Slug, Workspace: project.Workspace}
	c, err := r.client(ref)
	if err != nil {
		return nil, err
	}
	return c.List(ctx, ref)
}

// Clean implements app.Runtime.
func (r *Runtime) Clean(ctx context.Context, ref domain.RunRef) error {
	c, err := r.client(ref)
	if err != nil {
		return err
	}
	return c.Clean(ctx, ref)
}

func (r *Runtime) client(ref domain.RunRef) (*client.Client, error) {
	dirs, err := directoriesOf(ref)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", ref.ID, err)
	}
	return client.New(r.exec, dirs.state), nil
}

// exec carries out the runner as a child of this process, with an empty
// environment.
func (r *Runtime) exec(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	command := exec.CommandContext(ctx, r.config.Runner, args...)
	var stderr bytes.Buffer
	command.Env, command.Dir = []string{}, "/"
	command.Stdin, command.Stdout, command.Stderr = stdin, stdout, &stderr
	command.WaitDelay = time.Second
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return nil // the reply says more
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}
