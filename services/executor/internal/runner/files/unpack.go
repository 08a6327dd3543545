// Package files packs and unpacks what comes into the place of a run and what is kept
// of it. Nothing that it reads or writes is outside the directory that it was given,
// whatever the names in a tar file and the symbolic links in a workspace say.
package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

const (
	// maxEntries is how many files a tar file may hold.
	maxEntries = 1 << 20
	// maxName and maxDepth bound the name of one, in bytes and directories.
	maxName  = 4096
	maxDepth = 128
	// maxRest is how much may follow the end of a tar file, in bytes.
	maxRest = 1 << 20
	// maxWindow bounds the memory that reading Zstandard takes, in bytes.
	maxWindow = 32 << 20
)

// Directory is one that was unpacked. It gets its mode once it is in its place.
type Directory struct {
	path     string
	mode     fs.FileMode
	modified time.Time // zero where it is not known
}

// broken is an error of the files themselves.
func broken(format string, args ...any) error {
	return &domain.FilesError{Reason: fmt.Sprintf(format, args...)}
}

// Unpack reads all of a stream into an empty directory, below which at says where. The
// error is a *domain.FilesError.
func Unpack(into *os.Root, in io.Reader, at domain.Placing) ([]Directory, error) {
	if !fs.ValidPath(at.At) || at.At == "." && at.Form == domain.FormFile {
		return nil, broken("%q is no place for files", at.At)
	}
	u := unpacking{root: into, only: at.Only, left: at.Limit, made: map[string]bool{".": true}}
	var err error
	switch at.Form {
	case domain.FormFile:
		mode := fs.FileMode(0o644)
		if at.Exec {
			mode = 0o755
		}
		if err = u.parents(at.At); err == nil {
			err = u.file(at.At, in, -1, mode)
		}
	case domain.FormTar:
		err = u.tar(in, at.At)
	case domain.FormTarZstd:
		var plain *zstd.Decoder
		plain, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			err = u.tar(plain, at.At)
			plain.Close()
		}
	default:
		err = fmt.Errorf("%q is no form of files", at.Form)
	}
	if err == nil {
		err = drain(in)
	}
	if err != nil {
		if known, ok := errors.AsType[*domain.FilesError](err); ok {
			return nil, known
		}
		return nil, broken("the files could not be unpacked: %v", err)
	}
	return u.dirs, nil
}

// drain reads the end of a stream.
func drain(in io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(in, maxRest))
	if err == nil && n == maxRest {
		err = errors.New("there is more after their end")
	}
	return err
}

type unpacking struct {
	root    *os.Root
	only    []string
	left    int64 // bytes that files may still have
	entries int
	made    map[string]bool // directories, of which no part is a symbolic link
	dirs    []Directory
}

func (u *unpacking) tar(in io.Reader, at string) error {
	if err := u.directory(at); err != nil {
		return err
	}
	reader := tar.NewReader(in)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return drain(in)
		}
		if err != nil {
			return err
		}
		if u.entries++; u.entries > maxEntries {
			return broken("there are more than %d files", maxEntries)
		}
		if err := u.entry(reader, header, at); err != nil {
			return err
		}
	}
}

func (u *unpacking) entry(in io.Reader, header *tar.Header, at string) error {
	name := strings.TrimSuffix(header.Name, "/")
	if !fs.ValidPath(name) || len(name) > maxName || strings.Count(name, "/") > maxDepth {
		return broken("the name %.200q leads out of its directory, or too deep into it", header.Name)
	}
	if name == "." && header.Typeflag == tar.TypeDir || !u.wanted(name) {
		return nil
	}
	name = path.Join(at, name)
	if err := u.parents(name); err != nil {
		return err
	}
	mode := fs.FileMode(header.Mode) & fs.ModePerm
	modified := header.ModTime
	if modified.Unix() == 0 {
		modified = time.Time{} // it was left out
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := u.directory(name); err != nil {
			return err
		}
		u.dirs = append(u.dirs, Directory{name, mode, modified})
		return nil
	case tar.TypeReg:
		if err := u.file(name, in, header.Size, mode); err != nil || modified.IsZero() {
			return err
		}
		return u.root.Chtimes(name, modified, modified)
	case tar.TypeSymlink:
		return u.root.Symlink(header.Linkname, name)
	default:
		return broken("%q is neither a file, a directory nor a symbolic link", header.Name)
	}
}

func (u *unpacking) wanted(name string) bool {
	return len(u.only) == 0 || slices.ContainsFunc(u.only, func(dir string) bool { return within(name, dir) })
}

// parents makes the directories above a name, and refuses one that leads through
// anything else.
func (u *unpacking) parents(name string) error { return u.directory(path.Dir(name)) }

func (u *unpacking) directory(name string) error {
	if u.made[name] {
		return nil
	}
	if err := u.parents(name); err != nil {
		return err
	}
	if err := u.root.Mkdir(name, 0o700); err != nil {
		return err // also of a symbolic link, which is there already
	}
	u.made[name] = true
	return nil
}

// file writes a file that is not there yet, of a size or, where that is negative, all
// that comes.
func (u *unpacking) file(name string, in io.Reader, size int64, mode fs.FileMode) error {
	if size > u.left {
		return broken("the files are larger than they may be")
	}
	file, err := u.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	var n int64
	if size >= 0 {
		n, err = io.CopyN(file, in, size)
	} else if n, err = io.Copy(file, io.LimitReader(in, u.left+1)); n > u.left {
		return broken("the files are larger than they may be")
	}
	u.left -= n
	if err != nil {
		return err
	}
	return errors.Join(file.Chmod(mode), file.Close())
}
