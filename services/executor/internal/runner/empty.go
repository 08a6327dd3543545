package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// empty removes what is in directories, and not themselves. Nothing is followed that
// leads out of them.
func empty(dirs []string) error {
	var all error
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("empty: %w", err))
		}
		for _, entry := range entries {
			if err := remove(filepath.Join(dir, entry.Name())); err != nil {
				all = errors.Join(all, fmt.Errorf("empty: %w", err))
			}
		}
	}
	return all
}

// remove removes a file or a tree, also where that has directories that may not be
// written to, as the module cache of Go.
func remove(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = os.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}
