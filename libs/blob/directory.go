package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// What a directory has beside the files.
const (
	unfinishedDir = ".unfinished" // what is being written, or was when its writer was killed
	lockFile      = ".lock"       // shared by who puts a file into its place, alone for who deletes
)

// directory keeps files in a directory, under their keys.
type directory struct{ root *os.Root }

func openDirectory(name string) (*directory, error) {
	if err := os.MkdirAll(name, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if err := root.MkdirAll(unfinishedDir, 0o700); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &directory{root}, nil
}

// Put implements Store.
func (d *directory) Put(ctx context.Context, key string, r io.Reader) (int64, string, error) {
	if err := checkKey(key); err != nil {
		return 0, "", err
	}
	return d.write(ctx, r, func(string) string { return key })
}

// PutByDigest implements Store.
func (d *directory) PutByDigest(ctx context.Context, prefix string, r io.Reader) (int64, string, error) {
	if err := checkKey(prefix); err != nil {
		return 0, "", err
	}
	return d.write(ctx, r, func(digest string) string { return ByDigest(prefix, digest) })
}

// write writes a file aside, and puts it into its place when all of it is on the disk.
func (d *directory) write(ctx context.Context, r io.Reader, key func(digest string) string) (size int64, digest string, err error) {
	aside := path.Join(unfinishedDir, rand.Text())
	file, err := d.root.OpenFile(aside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, "", fmt.Errorf("store a file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = d.root.Remove(aside) // the sweep would find it, too
		}
	}()
	size, digest, err = copyAll(ctx, file, r)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return 0, "", fmt.Errorf("store a file: %w", err)
	}
	if err := d.place(aside, key(digest)); err != nil {
		return 0, "", fmt.Errorf("store %s: %w", key(digest), err)
	}
	return size, digest, nil
}

// place gives a file its key, also after a power failure. Its age begins now.
func (d *directory) place(aside, key string) (err error) {
	unlock, err := d.lock(syscall.LOCK_SH)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := d.root.MkdirAll(path.Dir(key), 0o700); err != nil {
		return err
	}
	now := time.Now()
	if err := d.root.Chtimes(aside, now, now); err != nil {
		return err
	}
	if err := d.root.Rename(aside, key); err != nil {
		return err
	}
	for dir := path.Dir(key); ; dir = path.Dir(dir) {
		if err := d.sync(dir); err != nil || dir == "." {
			return err
		}
	}
}

// sync has the disk know what is in a directory.
func (d *directory) sync(dir string) error {
	file, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// lock waits for the lock of the directory, in all processes that use it. It is held
// for moments, but for as long as DeleteAll takes.
func (d *directory) lock(how int) (unlock func() error, err error) {
	file, err := d.root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), how)
		if err == nil {
			return file.Close, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), file.Close())
		}
	}
}

// Get implements Store.
func (d *directory) Get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, 0, err
	}
	file, err := d.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = contract.ErrNotFound
	}
	if err != nil {
		return nil, 0, fmt.Errorf("file %s: %w", key, err)
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = contract.ErrNotFound
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("file %s: %w", key, err), file.Close())
	}
	return file, info.Size(), nil
}
