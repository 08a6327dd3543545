package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	// maxEntries is how many files a tar file may have.
	maxEntries = 1 << 20
	// maxName and maxDepth bound the name of one, in bytes and directories.
	maxName  = 4096
	maxDepth = 128
)

// Unpack puts what is in a tar file into a directory, instead of what has the same name
// there: directories, files, and symbolic links that lead to something in it. Anything
// else is an error, and so are files of more than most bytes together. What came before
// an error stays.
func Unpack(into *os.Root, in io.Reader, most int64) error {
	reader := tar.NewReader(in)
	for n := 0; ; n++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the tar file: %w", err)
		}
		if n >= maxEntries {
			return fmt.Errorf("the tar file has more than %d entries", maxEntries)
		}
		if most -= header.Size; most < 0 {
			return errors.New("the files in the tar file are larger than it is")
		}
		if len(header.Name) > maxName {
			return fmt.Errorf("the tar file has a name of %d bytes", len(header.Name))
		}
		if err := entry(into, header, reader); err != nil {
			return fmt.Errorf("unpack %q: %w", header.Name, err)
		}
	}
}

func entry(into *os.Root, header *tar.Header, data io.Reader) error {
	name := filepath.FromSlash(path.Clean(header.Name))
	if !filepath.IsLocal(name) {
		return errors.New("its name leads out of the directory")
	}
	if len(header.Linkname) > maxName || strings.Count(name, string(filepath.Separator)) > maxDepth {
		return errors.New("its name or its target is too long")
	}
	if err := parents(into, filepath.Dir(name)); err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return into.MkdirAll(name, 0o777)
	case tar.TypeReg:
		return regular(into, name, header.FileInfo().Mode(), data)
	case tar.TypeSymlink:
		target := filepath.Clean(filepath.FromSlash(header.Linkname))
		if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(name), target)) {
			return fmt.Errorf("it is a link to %q, which is outside of the directory", header.Linkname)
		}
		if err := away(into, name); err != nil {
			return err
		}
		return into.Symlink(target, name)
	}
	return fmt.Errorf("it is of the type %q", header.Typeflag)
}

// parents makes the directories of an entry. Below a link, which may lead anywhere in the
// directory, a link could not be told to stay in it.
func parents(into *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if err := parents(into, filepath.Dir(dir)); err != nil {
		return err
	}
	info, err := into.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return into.Mkdir(dir, 0o777)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%q is no directory", dir)
	}
	return err
}

func regular(into *os.Root, name string, mode fs.FileMode, data io.Reader) error {
	if err := away(into, name); err != nil {
		return err
	}
	file, err := into.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, modeOf(mode&0o111 != 0))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, data)
	return errors.Join(err, file.Close())
}

// away removes what is there, but for directories.
func away(into *os.Root, name string) error {
	if err := into.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
