package files

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// dirRecord marks the tar file of a directory among the artifacts.
const dirRecord = "RDEV.dir"

// artifact is what a pattern matches.
type artifact struct {
	domain.Kept

	found string // its path in the workspace
}

// Artifacts writes a tar file of what the patterns match, in the order of the paths. A
// directory is a tar file within it, which is the same for the same content. The error is
// a *domain.FilesError where the files are to blame: a pattern matches nothing, or it is
// too much.
func Artifacts(root *os.Root, patterns []string, most int, limit int64, out io.Writer) error {
	all, err := match(root, patterns)
	if err != nil {
		return err
	}
	if len(all) > most {
		return broken("there are %d artifacts, and may be %d", len(all), most)
	}
	left := limit
	for i := range all {
		if all[i].Dir {
			if all[i].Size, err = treeSize(root, all[i].found); err != nil {
				return err
			}
		}
		if left -= all[i].Size; left < 0 {
			return broken("the artifacts are larger than %d MiB", limit>>20)
		}
	}
	writer := tar.NewWriter(out)
	for _, a := range all {
		if err := write(writer, root, a); err != nil {
			return err
		}
	}
	return writer.Close()
}

func write(out *tar.Writer, root *os.Root, a artifact) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: a.Path, Size: a.Size, Mode: 0o644}
	if a.Exec {
		h.Mode = 0o755
	}
	if a.Dir {
		h.PAXRecords = map[string]string{dirRecord: "1"}
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	if a.Dir {
		return writeTree(out, root, a.found)
	}
	return copyFile(out, root, a.found, a.Size)
}

// ReadArtifacts reads what Artifacts wrote, one by one.
func ReadArtifacts(in io.Reader, take func(domain.Kept, io.Reader) error) error {
	reader := tar.NewReader(in)
	for {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		kept := domain.Kept{Path: h.Name, Size: h.Size, Dir: h.PAXRecords[dirRecord] != "", Exec: h.Mode&0o111 != 0}
		if err := take(kept, reader); err != nil {
			return err
		}
	}
}

// match finds what there is of the patterns.
func match(root *os.Root, patterns []string) ([]artifact, error) {
	found, missing := map[string]artifact{}, []string(nil)
	for _, pattern := range patterns {
		if !fs.ValidPath(pattern) || pattern == "." {
			return nil, broken("artifact %q is no path in the workspace", pattern)
		}
		names, err := fs.Glob(root.FS(), pattern)
		if err != nil {
			return nil, broken("artifact %q: %v", pattern, err)
		}
		none := true
		for _, name := range names {
			a, ok := look(root, name)
			if !ok {
				continue
			}
			if other, twice := found[a.Path]; twice && other.found != a.found {
				return nil, broken("the artifacts %q and %q would have the same name", other.found, a.found)
			}
			found[a.Path], none = a, false
		}
		if none {
			missing = append(missing, strconv.Quote(pattern))
		}
	}
	switch len(missing) {
	case 0:
	case 1:
		return nil, broken("artifact %s is not there", missing[0])
	default:
		return nil, broken("artifacts %s are not there", strings.Join(missing, ", "))
	}
	all := make([]artifact, 0, len(found))
	for _, a := range found {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b artifact) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// look tells what a name is. A symbolic link counts as what it leads to, unless that is
// outside.
func look(root *os.Root, name string) (artifact, bool) {
	info, err := root.Stat(name)
	switch {
	case err != nil || !fs.ValidPath(name):
		return artifact{}, false
	case info.IsDir():
		return artifact{domain.Kept{Path: name + ".tar", Dir: true}, name}, true
	case info.Mode().IsRegular():
		return artifact{domain.Kept{Path: name, Size: info.Size(), Exec: info.Mode()&0o111 != 0}, name}, true
	}
	return artifact{}, false
}

// writeTree writes the tar file of a directory.
func writeTree(out io.Writer, root *os.Root, dir string) error {
	writer := tar.NewWriter(out)
	err := walk(root, dir, dir, func(found, name string, info fs.FileInfo) error {
		h, err := header(root, found, name, info, false)
		if err != nil {
			return err
		}
		return add(writer, root, found, h)
	})
	if err != nil {
		return err
	}
	return writer.Close()
}

// treeSize is the number of bytes that writeTree writes.
func treeSize(root *os.Root, dir string) (int64, error) {
	size := counter(trailer)
	err := walk(root, dir, dir, func(found, name string, info fs.FileInfo) error {
		h, err := header(root, found, name, info, false)
		if err != nil {
			return err
		}
		if err := tar.NewWriter(&size).WriteHeader(h); err != nil {
			return err
		}
		size += counter((h.Size + block - 1) / block * block)
		return nil
	})
	return int64(size), err
}

// A tar file consists of blocks, the last two of which are empty.
const (
	block   = 512
	trailer = 2 * block
)

// counter counts what is written to it.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(data []byte) (int, error) {
	*c += counter(len(data))
	return len(data), nil
}
