package files

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Cache writes what there is of some paths as a tar file, made smaller by Zstandard. The
// error is a *domain.FilesError where the files are to blame; it comes before anything is
// written where there is more than limit bytes of them.
func Cache(root *os.Root, paths []string, limit int64, out io.Writer) error {
	there, err := existing(root, paths)
	if err != nil {
		return err
	}
	left := limit
	for _, name := range there {
		err := walk(root, name, ".", func(_, _ string, info fs.FileInfo) error {
			if info.Mode().IsRegular() {
				left -= info.Size()
			}
			if left < 0 {
				return broken("the cache is larger than %d MiB", limit>>20)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	small, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	writer := tar.NewWriter(small)
	for _, name := range there {
		err := walk(root, name, ".", func(found, name string, info fs.FileInfo) error {
			h, err := header(root, found, name, info, true)
			if err != nil {
				return err
			}
			return add(writer, root, found, h)
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(writer.Close(), small.Close())
}

// existing are those of the paths that are there, without those that are in another.
func existing(root *os.Root, paths []string) ([]string, error) {
	var there []string
	for _, name := range slices.Sorted(slices.Values(paths)) {
		if !fs.ValidPath(name) || name == "." {
			return nil, broken("%q is no path in the home", name)
		}
		if slices.ContainsFunc(there, func(dir string) bool { return within(name, dir) }) {
			continue
		}
		info, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, unreadable(name, err)
		case info.IsDir() || info.Mode().IsRegular():
			there = append(there, name)
		}
	}
	return there, nil
}
