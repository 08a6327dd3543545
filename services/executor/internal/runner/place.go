package runner

import (
	"fmt"
	"io"
	"os"

	"github.com/orchard9/rdev/services/executor/internal/runner/files"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// place puts files below a directory of a run that was prepared and has not started: all
// that come, or none. They come as a wire.Writer sends them, to a directory beside where
// they belong; nothing waits for the caller with the lock held.
func place(c *call, stdin io.Reader) error {
	if err := locked(c, placeable); err != nil {
		return err
	}
	incoming, done, err := c.root.Incoming(c.id)
	if err != nil {
		return err
	}
	defer done()
	dirs, err := files.Unpack(incoming, wire.NewBody(stdin), c.at)
	if err != nil {
		return err
	}
	return locked(c, func(c *call) error {
		if err := placeable(c); err != nil {
			return err
		}
		to, err := os.OpenRoot(c.dir)
		if err != nil {
			return fmt.Errorf("place files of run %s: %w", c.id, err)
		}
		defer to.Close()
		return files.Merge(incoming, to, dirs)
	})
}

// locked does something while no other process changes what is in the store.
func locked(c *call, do func(*call) error) error {
	release, err := c.root.Lock()
	if err != nil {
		return err
	}
	defer release()
	return do(c)
}
