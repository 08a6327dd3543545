package files

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// walk visits what is in a directory, or one file, in the order of the names, with the
// name that each has from base on. It passes over what is no file, directory or symbolic
// link, and follows none of those.
func walk(root *os.Root, from, base string, visit func(found, name string, info fs.FileInfo) error) error {
	return fs.WalkDir(root.FS(), from, func(found string, entry fs.DirEntry, err error) error {
		if err != nil {
			return unreadable(found, err)
		}
		name := found
		if base != "." {
			name = strings.TrimPrefix(strings.TrimPrefix(found, base), "/")
		}
		if kind := entry.Type(); name == "" || !kind.IsRegular() && !kind.IsDir() && kind != fs.ModeSymlink {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return unreadable(found, err)
		}
		return visit(found, name, info)
	})
}

func unreadable(name string, err error) error {
	if known, ok := errors.AsType[*fs.PathError](err); ok {
		err = known.Err // its path is not what the one who asked knows
	}
	return broken("%q cannot be read: %v", name, err)
}

// header is that of a file, directory or symbolic link. But for a cache, the same content
// has the same.
func header(root *os.Root, found, name string, info fs.FileInfo, cache bool) (*tar.Header, error) {
	h := &tar.Header{Name: name, Mode: 0o644, ModTime: time.Unix(0, 0)}
	if info.IsDir() || info.Mode()&0o111 != 0 {
		h.Mode = 0o755
	}
	if cache {
		h.Mode, h.ModTime = int64(info.Mode().Perm()), info.ModTime()
	}
	switch {
	case info.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case info.Mode().IsRegular():
		h.Typeflag, h.Size = tar.TypeReg, info.Size()
	default:
		link, err := root.Readlink(found)
		if err != nil {
			return nil, unreadable(found, err)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, link
	}
	return h, nil
}

// add writes an entry with what is in it.
func add(out *tar.Writer, root *os.Root, found string, h *tar.Header) error {
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeReg {
		return nil
	}
	return copyFile(out, root, found, h.Size)
}

// copyFile writes a file that had a size when it was looked at. Something else that is
// there by now is not waited for.
func copyFile(out io.Writer, root *os.Root, found string, size int64) error {
	file, err := root.OpenFile(found, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return unreadable(found, err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, broken("%q is no file any more", found))
	}
	n, err := io.CopyN(out, reading{file, found}, size)
	if errors.Is(err, io.EOF) {
		return broken("%q changed while it was read: it had %d bytes, and has %d", found, size, n)
	}
	return err
}

// reading is a file whose errors are told from those of where it is written to.
type reading struct {
	file *os.File
	name string
}

// Read implements io.Reader.
func (r reading) Read(data []byte) (int, error) {
	n, err := r.file.Read(data)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreadable(r.name, err)
	}
	return n, err
}

// within tells whether a path is a directory or something in it.
func within(name, dir string) bool {
	return dir == "." || name == dir || strings.HasPrefix(name, dir+"/")
}
