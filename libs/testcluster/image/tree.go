package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is a file system in the making: what one layer adds to those below it.
// Paths are relative to the root, with slashes. Everything belongs to root
// unless it is said otherwise, carries no time, and is written in the order of
// the paths, so that the same content makes the same bytes on every machine.
type tree struct {
	nodes map[string]*node
	spool *os.File // holds the content of all files, one after another
	end   int64    // of the spool
}

type node struct {
	kind   byte        // tar.TypeDir, tar.TypeReg or tar.TypeSymlink
	mode   fs.FileMode // the permissions, and the sticky bit of a directory
	owner  int         // user and group
	target string      // of a symbolic link
	body   *body       // of a file; hard links share one
}

// body is where the content of a file lies in the spool.
type body struct{ offset, size int64 }

// newTree is an empty tree that keeps its content in an unnamed file in dir.
func newTree(dir string) (*tree, error) {
	spool, err := os.CreateTemp(dir, "spool-")
	if err != nil {
		return nil, fmt.Errorf("make a spool: %w", err)
	}
	if err := os.Remove(spool.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unname the spool: %w", err), spool.Close())
	}
	return &tree{nodes: map[string]*node{}, spool: spool}, nil
}

func (t *tree) close() error { return t.spool.Close() }

// dir makes a directory; one that is there takes the mode and the owner.
func (t *tree) dir(name string, mode fs.FileMode, owner int) {
	if name = t.resolve(name); name == "." {
		return
	}
	t.nodes[name] = &node{kind: tar.TypeDir, mode: mode, owner: owner}
}

// file makes a file of root's with all that r gives.
func (t *tree) file(name string, mode fs.FileMode, r io.Reader) error {
	size, err := io.Copy(io.NewOffsetWriter(t.spool, t.end), r)
	if err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	t.nodes[t.place(name)] = &node{kind: tar.TypeReg, mode: mode, body: &body{t.end, size}}
	t.end += size
	return nil
}

// symlink makes a symbolic link. What is made below the link afterwards goes
// to where it leads, as it would on a disk.
func (t *tree) symlink(name, target string) {
	t.nodes[t.place(name)] = &node{kind: tar.TypeSymlink, mode: 0o777, target: target}
}

// link gives a file one more name.
func (t *tree) link(name, existing string) error {
	n := t.nodes[t.resolve(existing)]
	if n == nil || n.kind != tar.TypeReg {
		return fmt.Errorf("link %s: there is no file %s", name, existing)
	}
	t.nodes[t.place(name)] = n
	return nil
}

// read gives the content of a file.
func (t *tree) read(name string) ([]byte, error) {
	n := t.nodes[t.resolve(name)]
	if n == nil || n.kind != tar.TypeReg {
		return nil, fmt.Errorf("read %s: %w", name, fs.ErrNotExist)
	}
	return io.ReadAll(io.NewSectionReader(t.spool, n.body.offset, n.body.size))
}

// has tells whether something has the name.
func (t *tree) has(name string) bool { return t.nodes[t.place(name)] != nil }

// files are the names of all files below a directory, sorted.
func (t *tree) files(dir string) []string {
	var found []string
	for name, n := range t.nodes {
		if n.kind == tar.TypeReg && strings.HasPrefix(name, dir+"/") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// place is the name without symbolic links on the way to it.
func (t *tree) place(name string) string {
	name = clean(name)
	return path.Join(t.resolve(path.Dir(name)), path.Base(name))
}

// resolve is the name without symbolic links, in it or on the way to it. Links
// that go round in circles are left as they are.
func (t *tree) resolve(name string) string {
	resolved, rest := ".", strings.Split(clean(name), "/")
	for hops := 0; len(rest) > 0; {
		next := path.Join(resolved, rest[0])
		rest = rest[1:]
		n := t.nodes[next]
		if n == nil || n.kind != tar.TypeSymlink || hops > 40 {
			resolved = next
			continue
		}
		hops++
		target := n.target
		if !path.IsAbs(target) {
			target = path.Join(resolved, target)
		}
		rest = append(strings.Split(clean(target), "/"), rest...)
		resolved = "."
	}
	return resolved
}

// clean is the name as a path below the root, which .. does not leave.
func clean(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// write writes the layer as a tar. The root itself is not in it, so that a layer
// changes neither its mode nor its owner. Directories that nobody made are
// root's, 0755.
func (t *tree) write(w io.Writer) error {
	all := maps.Clone(t.nodes)
	for name := range t.nodes {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if all[dir] == nil {
				all[dir] = &node{kind: tar.TypeDir, mode: 0o755}
			}
		}
	}
	archive := tar.NewWriter(w)
	written := map[*body]string{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := t.writeNode(archive, name, all[name], written); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return archive.Close()
}

func (t *tree) writeNode(archive *tar.Writer, name string, n *node, written map[*body]string) error {
	header := &tar.Header{
		Typeflag: n.kind, Name: name, Linkname: n.target, Mode: int64(n.mode.Perm()),
		Uid: n.owner, Gid: n.owner, ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	}
	if n.mode&fs.ModeSticky != 0 {
		header.Mode |= 0o1000
	}
	switch {
	case n.kind == tar.TypeDir:
		header.Name += "/"
	case n.kind == tar.TypeReg && written[n.body] != "":
		header.Typeflag, header.Linkname = tar.TypeLink, written[n.body]
	case n.kind == tar.TypeReg:
		written[n.body], header.Size = name, n.body.size
	}
	if err := archive.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
		return err
	}
	_, err := io.Copy(archive, io.NewSectionReader(t.spool, n.body.offset, n.body.size))
	return err
}
