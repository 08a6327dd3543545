package local

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// Verify implements app.Workspaces.
func (w *Workspaces) Verify(_ context.Context, slug string) (differences []string, err error) {
	info, err := w.root.Lstat(filepath.Join(slug, workspaceName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []string{"the directory is missing"}, nil
	case err != nil:
		return nil, err
	case !info.IsDir():
		return []string{"in place of the directory there is something else"}, nil
	}
	return nil, nil
}
