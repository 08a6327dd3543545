package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// removeAll removes a tree, also one whose directories cannot be read or written
// as they are. It follows no link.
func removeAll(ctx context.Context, root *os.Root, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	err := root.RemoveAll(name)
	if err == nil || ctx.Err() != nil {
		return err
	}
	// What is left tells more than the modes that could not be set.
	modes := unlock(ctx, root, name)
	if err := root.RemoveAll(name); err != nil {
		return errors.Join(err, modes)
	}
	return nil
}

// unlock makes every directory of a tree readable and writable for us.
func unlock(ctx context.Context, root *os.Root, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	info, err := root.Lstat(name)
	if err != nil || !info.IsDir() {
		return ignoreMissing(err)
	}
	if err := root.Chmod(name, 0o700); err != nil {
		return ignoreMissing(err)
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return ignoreMissing(err)
	}
	defer dir.Close()
	entries, err := fs.ReadDir(dir.FS(), ".")
	for _, entry := range entries {
		if entry.IsDir() {
			err = errors.Join(err, unlock(ctx, dir, entry.Name()))
		}
	}
	return err
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
