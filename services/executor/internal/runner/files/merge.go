package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Merge moves what was unpacked to where it belongs, in place of what is there; of
// directories that are there already it does so one by one what is in them. It follows no
// symbolic link. Both are on the same file system.
func Merge(from, to *os.Root, dirs []Directory) error {
	if err := merge(from, to); err != nil {
		return fmt.Errorf("put files in their place: %w", err)
	}
	// What is in a directory comes first: it may be closed to its owner from here.
	for _, dir := range slices.Backward(dirs) {
		err := to.Chmod(dir.path, dir.mode)
		if err == nil && !dir.modified.IsZero() {
			err = to.Chtimes(dir.path, dir.modified, dir.modified)
		}
		if err != nil {
			return fmt.Errorf("put files in their place: %w", err)
		}
	}
	return nil
}

func merge(from, to *os.Root) error {
	source, err := from.Open(".")
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.Open(".")
	if err != nil {
		return err
	}
	defer target.Close()
	entries, err := source.ReadDir(-1)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		there, err := to.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case entry.IsDir() && there.IsDir():
			if err := mergeDirectory(from, to, name); err != nil {
				return err
			}
			continue
		case entry.IsDir() || there.IsDir():
			if err := to.RemoveAll(name); err != nil {
				return err
			}
		}
		if err := unix.Renameat(int(source.Fd()), name, int(target.Fd()), name); err != nil {
			return fmt.Errorf("move %q: %w", name, err)
		}
	}
	return nil
}

func mergeDirectory(from, to *os.Root, name string) error {
	if err := to.Chmod(name, 0o700); err != nil {
		return err
	}
	source, err := from.OpenRoot(name)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.OpenRoot(name)
	if err != nil {
		return err
	}
	defer target.Close()
	return merge(source, target)
}
