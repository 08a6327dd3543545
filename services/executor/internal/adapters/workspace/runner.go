package workspace

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/client"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Runner is all of app.Runtime but Start, by way of rdev-runner: a runtime
// embeds it and says how the runner is carried out where a project is.
type Runner struct {
	// Exec carries out the runner where the files of a run are.
	Exec func(domain.RunRef) client.Exec
	// Shared are directories besides those of the workspace that its programs write to.
	Shared []string
}

// Private are the directories that have to be empty before and after a run, none
// where its workspace is not its own.
func (r Runner) Private(ref domain.RunRef, dirs Directories) []string {
	if !ref.Fresh {
		return nil
	}
	return append([]string{ref.Workspace, dirs.Home, dirs.Tmp}, r.Shared...)
}

// Client drives the runner of a run's workspace.
func (r Runner) Client(ref domain.RunRef) (*client.Client, error) {
	c, _, err := r.place(ref)
	return c, err
}

// place is Client, with the directories beside the workspace.
func (r Runner) place(ref domain.RunRef) (*client.Client, Directories, error) {
	dirs, err := DirectoriesOf(ref)
	if err != nil {
		return nil, Directories{}, fmt.Errorf("run %s: %w", ref.ID, err)
	}
	return client.New(r.Exec(ref), dirs.State), dirs, nil
}

// Adopt implements app.Runtime.
func (r Runner) Adopt(ctx context.Context, ref domain.RunRef) error {
	c, err := r.Client(ref)
	if err != nil {
		return err
	}
	return c.Adopt(ctx, ref)
}

// Attach implements app.Runtime.
func (r Runner) Attach(ctx context.Context, ref domain.RunRef, from int64, emit func(domain.Frame) error) (domain.Exit, error) {
	c, err := r.Client(ref)
	if err != nil {
		return domain.Exit{}, err
	}
	return c.Attach(ctx, ref, from, emit)
}

// Input implements app.Runtime.
func (r Runner) Input(ctx context.Context, ref domain.RunRef, data []byte, closeAfter bool) error {
	c, err := r.Client(ref)
	if err != nil {
		return err
	}
	return c.Input(ctx, ref, data, closeAfter)
}

// Cancel implements app.Runtime.
func (r Runner) Cancel(ctx context.Context, ref domain.RunRef, grace time.Duration) error {
	c, err := r.Client(ref)
	if err != nil {
		return err
	}
	return c.Cancel(ctx, ref, grace)
}

// List implements app.Runtime.
func (r Runner) List(ctx context.Context, project contract.Project) ([]domain.RunRef, error) {
	ref := domain.RunRef{Project: project.Slug, Workspace: project.Workspace}
	c, err := r.Client(ref)
	if err != nil {
		return nil, err
	}
	return c.List(ctx, ref)
}

// Clean implements app.Runtime.
func (r Runner) Clean(ctx context.Context, ref domain.RunRef) error {
	c, dirs, err := r.place(ref)
	if err != nil {
		return err
	}
	return c.Clean(ctx, ref, r.Private(ref, dirs))
}

// Prepare implements app.Runtime.
func (r Runner) Prepare(ctx context.Context, ref domain.RunRef) error {
	c, dirs, err := r.place(ref)
	if err != nil {
		return err
	}
	return c.Prepare(ctx, ref, []string{ref.Workspace, dirs.Home, dirs.Tmp}, r.Private(ref, dirs))
}

// Place implements app.Runtime.
func (r Runner) Place(ctx context.Context, ref domain.RunRef, at domain.Placing, open func(context.Context) (io.ReadCloser, error)) error {
	c, dirs, err := r.place(ref)
	if err != nil {
		return err
	}
	return c.Place(ctx, ref, dirs.Home, at, open)
}

// Artifacts implements app.Runtime.
func (r Runner) Artifacts(ctx context.Context, ref domain.RunRef, patterns []string, take func(domain.Kept, io.Reader) error) error {
	c, err := r.Client(ref)
	if err != nil {
		return err
	}
	want := wire.Selection{Dir: ref.Workspace, Paths: patterns, Most: contract.MaxArtifacts, Limit: contract.MaxArtifactBytes}
	return c.Artifacts(ctx, ref, want, take)
}

// Cache implements app.Runtime.
func (r Runner) Cache(ctx context.Context, ref domain.RunRef, paths []string, take func(io.Reader) error) error {
	c, dirs, err := r.place(ref)
	if err != nil {
		return err
	}
	return c.Cache(ctx, ref, wire.Selection{Dir: dirs.Home, Paths: paths, Limit: contract.MaxCacheBytes}, take)
}
