package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/orchard9/rdev/services/executor/internal/runner/files"
	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// collect sends files that a run left when it ended, as a wire.Writer does. It reads what
// is wanted from its standard input, and goes on for as long as that is open. The lock is
// not held meanwhile: a newer token is found at the end, and then what was sent is not
// whole.
func collect(ctx context.Context, c *call, in io.Reader, out io.Writer) error {
	var want wire.Selection
	if err := json.NewDecoder(in).Decode(&want); err != nil {
		return fmt.Errorf("%w: read selection: %w", errInvalid, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel(errCallerGone)
	}()
	run, err := mayCollect(ctx, c)
	if err != nil {
		return err
	}
	defer run.Close()
	dir, err := os.OpenRoot(want.Dir)
	if err != nil {
		return fmt.Errorf("collect files of run %s: %w", c.id, err)
	}
	defer dir.Close()
	writer := wire.NewWriter(whileWanted{ctx, out})
	if want.Cache {
		err = files.Cache(dir, want.Paths, want.Limit, writer)
	} else {
		err = files.Artifacts(dir, want.Paths, want.Most, want.Limit, writer)
	}
	if err == nil {
		err = stillCollects(ctx, c)
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return writer.End()
}

// mayCollect opens a run that has ended, for whoever has it. The caller closes it.
func mayCollect(ctx context.Context, c *call) (*store.Run, error) {
	return fenced(c, func(run *store.Run) error {
		if err := newest(c); err != nil {
			return err
		}
		if err := hasEnded(run); err != nil {
			return err
		}
		return settle(ctx, run)
	})
}

// stillCollects refuses a caller that mayCollect would refuse now.
func stillCollects(ctx context.Context, c *call) error {
	run, err := mayCollect(ctx, c)
	if err != nil {
		return err
	}
	return run.Close()
}

// hasEnded refuses a run that lives. One that has told how it ended is about to go.
func hasEnded(run *store.Run) error {
	lives, err := supervisorLives(run)
	if err != nil || !lives {
		return err
	}
	if status, err := run.Status(); err != nil || status == nil {
		return errors.Join(errRunning, err)
	}
	return nil
}

// whileWanted writes until nobody waits for it any more.
type whileWanted struct {
	ctx context.Context
	out io.Writer
}

// Write implements io.Writer.
func (w whileWanted) Write(data []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	return w.out.Write(data)
}
