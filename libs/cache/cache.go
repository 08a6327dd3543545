// Package cache keeps what is dear to make, as programs that tests need, from one
// process to the next, also for processes that run at the same time. What has its name
// there is complete: it is made beside it, and renamed.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Dir is rdev's directory in the user's cache, ${XDG_CACHE_HOME:-~/.cache}/rdev.
func Dir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	return filepath.Join(dir, "rdev"), nil
}

// Root is the root of the repository that the working directory is in: the
// directory with go.work.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if Exists(filepath.Join(dir, "go.work")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository: no go.work in %s or above: %w", start, fs.ErrNotExist)
		}
	}
}

// Exists tells whether there is something at the path.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Fill makes a directory that is missing, and marks one that is there as used:
// fill gets an empty one that then gets the name. One process at a time does it,
// and what a killed one left is removed.
func Fill(ctx context.Context, dir string, fill func(partial string) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	lock, err := Lock(ctx, dir+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	now := time.Now()
	if err := os.Chtimes(dir, now, now); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial, err := emptyDir(dir + ".partial-")
	if err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	if err := fill(partial); err != nil {
		return errors.Join(err, os.RemoveAll(partial))
	}
	return os.Rename(partial, dir)
}

// emptyDir makes a directory whose name begins with prefix, and removes those
// that were left behind. Each has a name of its own, as the compiler of a killed
// build may still be writing.
func emptyDir(prefix string) (string, error) {
	stale, err := filepath.Glob(prefix + "*")
	if err != nil {
		return "", err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return "", err
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(prefix), filepath.Base(prefix))
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
