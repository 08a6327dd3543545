package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"
)

// Sweep implements Store.
func (d *directory) Sweep(ctx context.Context, prefix string, before time.Time) (removed int, err error) {
	if err := checkKey(prefix); err != nil {
		return 0, err
	}
	err = d.walk(ctx, prefix, func(key string) error {
		gone, err := d.removeOlder(key, before)
		if gone {
			removed++
		}
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("sweep %s: %w", prefix, err)
	}
	// Nobody puts these into their place any more.
	err = d.walk(ctx, unfinishedDir, func(name string) error {
		_, err := d.removeOlder(name, time.Now().Add(-abandoned))
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("sweep unfinished files: %w", err)
	}
	return removed, nil
}

// walk calls for each file below a directory, which need not be there.
func (d *directory) walk(ctx context.Context, dir string, each func(name string) error) error {
	return fs.WalkDir(d.root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // or not any more
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() || name == dir:
			return nil
		}
		return each(name)
	})
}

// removeOlder removes a file that was last written before a time. Nothing is put into
// its place between the look and the removal.
func (d *directory) removeOlder(name string, before time.Time) (gone bool, err error) {
	older := func() (bool, error) {
		info, err := d.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && info.ModTime().Before(before), err
	}
	if old, err := older(); err != nil || !old {
		return false, err
	}
	unlock, err := d.lock(syscall.LOCK_EX)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if old, err := older(); err != nil || !old {
		return false, err
	}
	return true, d.root.Remove(name)
}

// DeleteAll implements Store.
func (d *directory) DeleteAll(ctx context.Context, prefix string) (err error) {
	if err := errors.Join(checkKey(prefix), ctx.Err()); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("delete %s: %w", prefix, err)
		}
	}()
	unlock, err := d.lock(syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	info, err := d.root.Lstat(prefix)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(d.root.RemoveAll(prefix), d.sync(path.Dir(prefix)))
}
