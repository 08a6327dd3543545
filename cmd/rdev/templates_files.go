package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/orchard9/rdev/libs/templates"
)

// createFiles puts files into a directory, which it makes. Where one of them is there already
// it puts none.
func createFiles(dir string, files map[string]templates.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close()
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := root.Lstat(name); err == nil {
			return &hinted{fmt.Errorf("%s is there already", filepath.Join(dir, name)), "Nothing was written: name a directory that has none of these files."}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for %s: %w", name, err)
		}
	}
	for _, name := range names {
		if err := createFile(root, name, files[name]); err != nil {
			return err
		}
	}
	return nil
}

// addFiles adds a component to the monorepo in a directory. It returns what it wrote, and
// what of that was there before.
func addFiles(dir string, component templates.Component) (files map[string]templates.File, changed []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close()
	var unread error
	files, err = templates.Add(func(name string) ([]byte, bool) {
		text, err := root.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && unread == nil {
			unread = fmt.Errorf("read %s: %w", name, err)
		}
		return text, err == nil
	}, component)
	if unread != nil || err != nil {
		return nil, nil, errors.Join(unread, err)
	}
	// What names the component comes after it.
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := createFile(root, name, files[name])
		if errors.Is(err, fs.ErrExist) {
			changed = append(changed, name)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, name := range changed {
		if err := root.WriteFile(name, files[name].Data, files[name].Mode); err != nil {
			return nil, nil, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return files, changed, nil
}

// createFile writes a file that is not there yet.
func createFile(root *os.Root, name string, file templates.File) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make the directory of %s: %w", name, err)
	}
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, file.Mode)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = out.Write(file.Data)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
