// Package files puts files that come from elsewhere into a directory: whole or not at
// all, and never outside of it, whatever their names say.
package files

import (
	"bufio"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// File is a file that is on its way to a place in a directory.
type File struct {
	root     *os.Root
	at, temp string
	file     *os.File
	out      *bufio.Writer
}

// New begins a file that is to come to a path in root, and may be carried out where exec
// is set. Discard it in the end.
func New(root *os.Root, at string, exec bool) (*File, error) {
	dir := filepath.Dir(at)
	if err := root.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, ".rdev-"+rand.Text()[:8]+".part")
	file, err := root.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, modeOf(exec))
	if err != nil {
		return nil, err
	}
	return &File{root: root, at: at, temp: temp, file: file, out: bufio.NewWriterSize(file, 256<<10)}, nil
}

// Restart forgets what was written.
func (f *File) Restart() error {
	f.out.Reset(f.file)
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return f.file.Truncate(0)
}

// Write implements io.Writer.
func (f *File) Write(data []byte) (int, error) { return f.out.Write(data) }

// Keep puts the file in its place, instead of one that is there.
func (f *File) Keep() error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	if err := f.file.Close(); err != nil {
		return err
	}
	return f.root.Rename(f.temp, f.at)
}

// Unpack reads the file as a tar file, and puts what is in it into the directory at, which
// is made where it is not there.
func (f *File) Unpack(at string) error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	size, err := f.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := f.root.MkdirAll(at, 0o777); err != nil {
		return err
	}
	into, err := f.root.OpenRoot(at)
	if err != nil {
		return err
	}
	return errors.Join(Unpack(into, bufio.NewReaderSize(f.file, 256<<10), size), into.Close())
}

// Discard takes away what was not kept.
func (f *File) Discard() {
	_ = f.file.Close()
	_ = f.root.Remove(f.temp)
}

// modeOf is the mode of a file, of which the umask takes away what it does.
func modeOf(exec bool) os.FileMode {
	if exec {
		return 0o777
	}
	return 0o666
}
