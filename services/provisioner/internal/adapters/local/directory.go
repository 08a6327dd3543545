package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// lockName cannot be a slug.
const lockName = ".lock"

// directory is where the projects of this machine are.
type directory struct{ root *os.Root }

// openDirectory opens a directory, which is made where it is missing.
func openDirectory(dir string) (directory, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return directory{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return directory{}, err
	}
	root, err := os.OpenRoot(dir)
	return directory{root: root}, err
}

// Close gives the directory back.
func (d directory) Close() error { return d.root.Close() }

// locked does what only one may do at a time, of all processes that use the directory. It
// is quick. The lock of a process that dies is free.
func (d directory) locked(do func() error) (err error) {
	file, err := d.root.OpenFile(lockName, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
	}
}

// there tells whether a project has a directory.
func (d directory) there(slug string) (bool, error) {
	info, err := d.root.Lstat(slug)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}
