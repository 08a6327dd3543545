package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// empty removes what is in directories, and not themselves. Nothing leads out of them.
func empty(dirs []string) error {
	var all error
	for _, dir := range dirs {
		if err := emptyOne(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("empty %s: %w", dir, err))
		}
	}
	return all
}

func emptyOne(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	for _, entry := range entries {
		err = errors.Join(err, remove(root, entry.Name()))
	}
	return err
}

// remove removes a file or a tree, also where that has directories that may not be
// written to, as the module cache of Go.
func remove(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	err = fs.WalkDir(root.FS(), name, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			err = root.Chmod(path, 0o700)
		}
		return err
	})
	if err != nil {
		return err
	}
	return root.RemoveAll(name)
}
