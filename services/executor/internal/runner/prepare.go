package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

var errNotPrepared = errors.New("nothing is prepared for the run, or it has started")

// prepare empties the directories of a run before it starts, so that files can be placed
// in them. They stay as they are from then on until the run is started: a second prepare,
// and start, find what the same token has prepared. An attempt that ends anywhere before
// leaves it to the next one, which has a newer token and begins with this.
//
//	start: empties ─────────────────────────▶ runs
//	prepare: empties ──▶ prepared ──start───▶ runs ──▶ ended ──clean──▶ nothing
//	                      │  ▲  └──clean──▶ nothing     │  ▲
//	                      └──┘ place                    └──┘ collect
func prepare(ctx context.Context, c *call) (wire.Reply, error) {
	release, existing, err := enter(ctx, c, c.make)
	if err != nil {
		return wire.Reply{}, fmt.Errorf("prepare run %s: %w", c.id, err)
	}
	defer release()
	if existing {
		return wire.Reply{Existing: true}, nil
	}
	prepared, err := c.root.Prepared()
	if err != nil || prepared == c.prepared() {
		return wire.Reply{}, err
	}
	if err := errors.Join(emptied(c, c.empty), c.root.Remove(c.id)); err != nil {
		return wire.Reply{}, fmt.Errorf("prepare run %s: %w", c.id, err)
	}
	return wire.Reply{}, c.root.SetPrepared(c.prepared())
}

// prepared is what the store has once the caller has prepared its run.
func (c *call) prepared() store.Prepared { return store.Prepared{ID: c.id, Token: c.token} }

// emptied removes what is in directories, and all that is kept for other runs.
func emptied(c *call, dirs []string) error {
	return errors.Join(c.root.ForgetPrepared(), empty(dirs), forgetOthers(c))
}

// placeable tells whether the caller may still put files in place. The caller holds the
// lock.
func placeable(c *call) error {
	if err := newest(c); err != nil {
		return err
	}
	prepared, err := c.root.Prepared()
	if err != nil {
		return err
	}
	run, err := c.root.Run(c.id)
	if err == nil {
		_ = run.Close()
	}
	if err == nil || prepared != c.prepared() {
		return errNotPrepared
	}
	if errors.Is(err, store.ErrNoRun) {
		return nil
	}
	return err
}

// newest refuses a caller where a newer token holds the workspace. The caller holds the
// lock.
func newest(c *call) error {
	current, err := c.root.Token()
	if err == nil && c.token < current {
		err = fmt.Errorf("%w: %d, not %d", errStale, current, c.token)
	}
	return err
}

// unprepare empties what the caller, or an attempt before it, has prepared for a run that
// never started.
func unprepare(c *call) error {
	release, err := c.root.Lock()
	if err != nil {
		return err
	}
	defer release()
	prepared, err := c.root.Prepared()
	if err != nil || prepared.ID != c.id {
		return err
	}
	if err := newest(c); err != nil {
		return err
	}
	return errors.Join(empty(c.empty), c.root.ForgetPrepared())
}
